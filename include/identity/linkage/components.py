"""Linkage as a step of resolve: from the components that identifiers made to the partitions strict and loose."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from include.identity.engine import DuckDBEngine, Engine, hashed, parquet
from include.identity.linkage.linking import create_no_links, link_records
from include.identity.rules import IdentityRules, Strength
from include.lake import Lake

logger = logging.getLogger(__name__)


def link_components(
    engine: Engine,
    lake: Lake,
    rules: IdentityRules,
    types: Sequence[Strength],
    membership: str,
    results: tuple[str, str],
) -> None:
    """Make `link` and the two `results`, partitions of the shape of `membership` that are coarser than it.

    Person records are those that dbt staged and whose node is in `observation`. Splink runs where the records are,
    which is DuckDB; on another engine, without person records and when it is not enabled nothing is linked.
    """
    path = lake.staged("person_records")
    if not rules.linkage.enabled or not path.exists():
        logger.info("no linkage: %s", "not enabled" if path.exists() else f"no person records at {path}")
        create_no_links(engine, membership, results)
        return
    if not isinstance(engine, DuckDBEngine):
        logger.warning("no linkage: it needs the target duckdb")
        create_no_links(engine, membership, results)
        return
    engine.create_view(
        "person_record",
        f"""
        select person_records.*
        from {parquet(path)} as person_records
        where {hashed("person_records.node_key")} in (select node from observation where is_record)
        """,
    )
    _create_holdings(engine, types)
    link_records(
        engine, "person_record", rules.linkage, membership, "linkage_held", rules.blocked_values, results
    )
    engine.drop("linkage_held")


def _create_holdings(engine: Engine, types: Sequence[Strength]) -> None:
    """Make `linkage_held(node, type, value, most)`: values of which one customer may have only so many.

    A limit within a window is about when values were seen; a link of two records says nothing of that.
    """
    limits = {
        each.number: 1 if each.is_unique else each.limit
        for each in types
        if each.is_unique or not (each.is_anonymous or each.window_days)
    }
    cases = " ".join(f"when {number} then {most}" for number, most in limits.items())
    engine.create_table(
        "linkage_held",
        f"""
        select distinct
            node,
            type,
            value,
            case type {cases} end as most
        from mergeable
        where type in ({", ".join(map(str, limits))})
        """
        if limits
        else "select node, type, value, 1 as most from mergeable where 1 = 0",
    )
