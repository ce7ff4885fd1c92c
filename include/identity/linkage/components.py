"""Linkage as a step of resolve: from the components that identifiers made to the partitions strict and loose."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from include.identity.engine import DuckDBEngine, Engine, hashed, parquet, text
from include.identity.guards import TWO_PEOPLE
from include.identity.linkage.contradictions import find_contradictions
from include.identity.linkage.linking import link_created
from include.identity.linkage.records import create_records
from include.identity.rules import IdentityRules, Strength
from include.lake import Lake

logger = logging.getLogger(__name__)

# Identifiers that people of one household have in common.
SHAREABLE = ("email", "phone")


def can_compare(lake: Lake, rules: IdentityRules) -> bool:
    """Whether there are person records and they are to be compared; the log says why not."""
    path = lake.staged("person_records")
    if rules.linkage.enabled and path.exists():
        return True
    logger.info("no linkage: %s", "not enabled" if path.exists() else f"no person records at {path}")
    return False


def open_person_records(engine: Engine, beside: DuckDBEngine, lake: Lake, rules: IdentityRules) -> None:
    """Make the records to compare, in the DuckDB beside the engine, in which they are compared.

    Person records are those that dbt staged and whose node is in `observation`.
    """
    path = lake.staged("person_records")
    engine.show("observation", "select distinct node, is_record from observation where is_record", beside)
    beside.create_view(
        "person_record",
        f"""
        select person_records.*
        from {parquet(path)} as person_records
        where {hashed("person_records.node_key")} in (select node from observation where is_record)
        """,
    )
    create_records(beside, "person_record", rules.blocked_values)


def link_components(
    engine: Engine,
    beside: DuckDBEngine,
    rules: IdentityRules,
    types: Sequence[Strength],
    membership: str,
    results: tuple[str, str],
) -> None:
    """Make `link` and the two `results`, partitions of the shape of `membership` that are coarser than it."""
    engine.show("mergeable", "select distinct node, type, value from mergeable", beside)
    engine.show(membership, f"select node, component from {membership}", beside)
    _create_holdings(beside, types)
    link_created(beside, rules.linkage, membership, "linkage_held", results)
    beside.drop("linkage_held")
    for made in ("link", *results):
        engine.take(made, beside)


def block_contradicted(engine: Engine, beside: DuckDBEngine, types: Sequence[Strength]) -> None:
    """Take the power from identifiers that two person records share which are clearly two people: a household's
    telephone, a couple's e-mail address. Of types that are issued to one person each, a difference is a slip.
    """
    weak = [each.number for each in types if each.name in SHAREABLE]
    if not weak:
        return
    engine.create_table(
        "shareable",
        f"""
        select distinct
            node,
            value
        from mergeable
        where is_record and type in ({", ".join(map(str, weak))})
        """,
    )
    engine.show("shareable", "select node, value from shareable", beside)
    if beside.scalar("select count(*) from linkage_record"):
        find_contradictions(beside, "shareable", "contradiction")
        beside.create_table(
            "of_two_people",
            """
            select distinct one.value
            from contradiction
            inner join shareable as one on contradiction.node_a = one.node
            inner join shareable as other on contradiction.node_b = other.node and one.value = other.value
            """,
        )
        engine.take("of_two_people", beside)
        engine.insert("powerless", f"select value, {text(TWO_PEOPLE)} as reason from of_two_people")
        beside.drop("contradiction")
        engine.drop("of_two_people")
    engine.drop("shareable")


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
