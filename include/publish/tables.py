"""What a release must hold: the tables of `tables.yml` as objects."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from include.core_yaml import load_yaml

# Tables about the run itself: their values differ from run to run though nothing that was published does.
RUN_TABLES = frozenset(
    {"ops/quality_results", "ops/run_costs", "ops/model_costs", "ops/releases", "ops/deliveries"}
)


@dataclass(frozen=True)
class PublishedTable:
    """One table of a release: `key` is its grain (empty: none is promised), `columns` those it must have."""

    side: str
    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]


@lru_cache(maxsize=1)
def published_tables() -> tuple[PublishedTable, ...]:
    """Every table that a release must hold, in the order of the file."""
    document = load_yaml(Path(__file__).with_name("tables.yml"))
    return tuple(
        PublishedTable(side, name, tuple(entry["key"]), (*entry["key"], *entry["columns"]))
        for side, tables in document.items()
        for name, entry in tables.items()
    )
