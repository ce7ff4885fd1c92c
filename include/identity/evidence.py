"""What was observed: the evidence that the step stage hands over, as edges between nodes and values."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import date

from include.identity.engine import Engine, hashed, parquet
from include.identity.manual import create_manual_evidence
from include.identity.rules import IdentityRules, Strength, rubbish, type_number
from include.lake import Lake
from include.ledger import StepFailed

logger = logging.getLogger(__name__)

EVIDENCE = {
    "node_key": "varchar",
    "kind": "varchar",
    "channel": "varchar",
    "record_id": "varchar",
    "id_type": "varchar",
    "id_value": "varchar",
    "landed_on": "date",
    "evident_at": "timestamp",
    "first_seen_at": "timestamp",
    "last_seen_at": "timestamp",
    "observations": "bigint",
}
VALUE_KEY = "id_type || ':' || id_value"


def read_evidence(
    engine: Engine, lake: Lake, day: date, rules: IdentityRules, types: Iterable[Strength]
) -> None:
    """Make the view `staged` over the file and what people decided, and `observation`, its edges as integers.

    When an edge was first seen is, for what is decided, `evident_at`: later deliveries do not change it, so days are
    told the same when they are resolved again. Strings are read from the file again where a result needs them:
    keeping them would cost most of the memory.
    """
    path = lake.staged("identity_evidence")
    if path.exists():
        if missing := sorted(set(EVIDENCE) - engine.columns(path)):
            raise StepFailed(
                f"resolve: {path} lacks the columns {', '.join(missing)}; run the step stage again"
            )
        source, condition = parquet(path), f"landed_on <= date '{day:%Y-%m-%d}'"
    else:
        logger.warning("no identity evidence at %s: nobody can be resolved", path)
        source, condition = (
            f"(select {', '.join(f'null as {column}' for column in EVIDENCE)}) as nothing",
            "1 = 0",
        )
    columns = ",\n".join(f"cast({column} as {kind}) as {column}" for column, kind in EVIDENCE.items())
    engine.create_view("landed", f"select\n{columns}\nfrom {source}\nwhere {condition}")
    create_manual_evidence(engine, rules)
    hashes = f"{hashed('node_key')} as node,\n{hashed(VALUE_KEY)} as value"
    names = ", ".join(EVIDENCE)
    engine.create_view(
        "staged",
        f"""
        select
            {names},
            {hashes},
            {type_number(types)} as type,
            {rubbish(rules)} as rubbish
        from landed
        union all
        select
            {names},
            {hashes},
            type,
            cast(null as varchar) as rubbish
        from manual_evidence
        """,
    )
    engine.create_table(
        "observation",
        """
        select
            node,
            value,
            type,
            rubbish,
            kind = 'customers' as is_record,
            landed_on,
            evident_at as first_seen_at
        from staged
        """,
    )
