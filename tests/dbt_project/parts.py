"""In how many parts a lake's models were built, as dbt's log tells."""

from __future__ import annotations

import re

from include.lake import Lake


def parts_built(lake: Lake, model: str) -> int:
    """The parts in which a model was built by all calls of dbt together; 0 where it was never built in parts."""
    log = (lake.data / "dbt" / "logs" / "dbt.log").read_text()
    gathered, written = (
        rf'(?:create or replace table|insert into) \S+"{model}__parts"',
        rf"{model}: part \d+ of",
    )
    return len(re.findall(f"{gathered}|{written}", log))


def bounds_taken(lake: Lake) -> set[str]:
    """The ids with which a part of any model began, as SQL writes them."""
    log = (lake.data / "dbt" / "logs" / "dbt.log").read_text()
    return set(re.findall(r"set variable part_from = cast\('(.*)' as varchar\)", log))
