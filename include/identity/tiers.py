"""How sure a link is: exact (an invoice may go by it), strict (a campaign may), loose (only look-alikes may).

Three partitions of the nodes, each coarser than the one before. Everything that the guards left is evidence of the
strict one; here the finer one is made by what is exact alone, and the coarser one by what is merely loose.
"""

from __future__ import annotations

from collections.abc import Sequence

from include.identity.components import connect, follow
from include.identity.engine import Engine
from include.identity.guards import still_tied
from include.identity.rules import EXACT, LOOSE, Strength


def create_exact(engine: Engine, types: Sequence[Strength], found: str, result: str) -> None:
    """Make `result(node, component)`: the parts of the components `found` that exact evidence alone ties together."""
    weaker = [each.number for each in types if each.tier != EXACT]
    if not weaker:
        engine.create_view(result, f"select node, component from {found}")
        return
    engine.create_table(
        "exact_edge",
        f"""
        select
            node,
            value
        from mergeable
        where type not in ({", ".join(map(str, weaker))})
        """,
    )
    connect(engine, "exact_edge", result)
    engine.drop("exact_edge")


def join_loosely(engine: Engine, types: Sequence[Strength], found: str, result: str) -> None:
    """Make `result(node, component)`: the components `found`, joined where they share a value of a loose type.

    Blocked values and cut edges join nobody here either. No limit holds: what is loose is for audiences of
    look-alikes only.
    """
    loose = [each.number for each in types if each.tier == LOOSE]
    if not loose:
        engine.create_view(result, f"select node, component from {found}")
        return
    engine.create_table(
        "loose_edge",
        f"""
        select distinct
            coalesce(found.component, observation.node) as node,
            observation.value
        from observation
        left join {found} as found on observation.node = found.node
        {still_tied("observation")}
        where
            observation.type in ({", ".join(map(str, loose))})
            and observation.rubbish is null
        """,
    )
    connect(engine, "loose_edge", "loosely")
    follow(engine, found, "loosely", result)
    engine.drop("loose_edge", "loosely")
