"""Who is one person, from the weights of pairs: clusters that one false link cannot glue together.

The pieces are the components that shared identifiers made. Pieces that a chain of links connects are candidates;
within them every pair of records has a weight, so what speaks against two records counts as much as what speaks for
them. In rounds the two pieces that are each other's best neighbour become one, as long as the mean of the weights
between all their records is above the tier's threshold and no unique type or limit forbids it. Weights are whole
thousandths of a bit: their sums do not depend on the order of adding.
"""

from __future__ import annotations

from math import log2

from include.identity.components import connect
from include.identity.engine import Engine

THOUSAND = 1000  # weights are kept in thousandths of a bit
_MOST_AGAINST = 20 * THOUSAND
_NEUTRAL = -THOUSAND  # a pair below its tier with more than this says nothing rather than no
MOST_RECORDS = 200  # candidates with more records are not looked at pair by pair


def threshold(probability: float) -> int:
    """A probability as a weight."""
    return round(log2(probability / (1 - probability)) * THOUSAND)


def vote(weight: str, evidence: str, household: str) -> str:
    """What a pair says of two pieces: its weight, what speaks against them, or nothing (null).

    Two records with little in common are unlikely to be of one person before anybody looks at them. That alone is
    no reason to keep apart what others tie together: only what their values say is.
    """
    against = f"least({evidence}, {household})"
    return (
        f"case when {weight} >= 0 then {weight}"
        f" when {against} < {_NEUTRAL} then greatest({against}, -{_MOST_AGAINST}) end"
    )


def find_candidates(engine: Engine, links: str, result: str) -> None:
    """Make `result(unit, candidate)`: the units that a chain of `links` (unit_l, unit_r) connects to others."""
    engine.create_table(
        "linkage_chain",
        f"select unit_l as node, unit_l as value from {links} union all select unit_r, unit_l from {links}",
    )
    connect(engine, "linkage_chain", "linkage_connected")
    engine.create_table(
        result,
        """
        select
            node as unit,
            component as candidate
        from linkage_connected
        union all
        select distinct
            component as unit,
            component as candidate
        from linkage_connected
        """,
    )
    engine.drop("linkage_chain", "linkage_connected")


def agglomerate(engine: Engine, votes: str, start: str, holdings: str, least: int, result: str) -> int:
    """Make `result(unit, cluster)` from `start(unit, cluster)` by merging until no pair of clusters wants to.

    `votes` is (unit_l, unit_r, vote); a cluster is named by its smallest unit. `holdings` is (unit, type, value,
    most): no cluster may come to hold more than `most` values of a type. Returns the rounds it took.
    """
    place, rounds = start, 0
    _create_bonds(engine, votes, place, "linkage_bond_0")
    while True:
        bonds = f"linkage_bond_{rounds}"
        _find_wishes(engine, bonds, least)
        _remove_forbidden(engine, holdings, place)
        merges = _find_mutual(engine)
        if not merges:
            break
        merged = f"{result}_{rounds}"
        engine.create_table(
            merged,
            f"""
            select
                places.unit,
                coalesce(linkage_merge.low, places.cluster) as cluster
            from {place} as places
            left join linkage_merge on places.cluster = linkage_merge.high
            """,
        )
        engine.create_table(
            f"linkage_bond_{rounds + 1}",
            f"""
            with moved as (
                select
                    coalesce(merge_low.low, bonds.low) as one,
                    coalesce(merge_high.low, bonds.high) as other,
                    bonds.total,
                    bonds.votes,
                    bonds.best
                from {bonds} as bonds
                left join linkage_merge as merge_low on bonds.low = merge_low.high
                left join linkage_merge as merge_high on bonds.high = merge_high.high
            )

            select
                least(one, other) as low,
                greatest(one, other) as high,
                cast(sum(total) as bigint) as total,
                cast(sum(votes) as bigint) as votes,
                max(best) as best
            from moved
            where one <> other
            group by least(one, other), greatest(one, other)
            """,
        )
        engine.drop(bonds, "linkage_wish", "linkage_merge")
        if place != start:
            engine.drop(place)
        place = merged
        rounds += 1
    engine.create_table(result, f"select unit, cluster from {place}")
    engine.drop(f"linkage_bond_{rounds}", "linkage_wish", "linkage_merge")
    if place != start:
        engine.drop(place)
    return rounds


def _create_bonds(engine: Engine, votes: str, place: str, result: str) -> None:
    """What all votes between two clusters come to."""
    engine.create_table(
        result,
        f"""
        with placed as (
            select
                place_l.cluster as one,
                place_r.cluster as other,
                votes.vote
            from {votes} as votes
            inner join {place} as place_l on votes.unit_l = place_l.unit
            inner join {place} as place_r on votes.unit_r = place_r.unit
            where votes.vote is not null and place_l.cluster <> place_r.cluster
        )

        select
            least(one, other) as low,
            greatest(one, other) as high,
            cast(sum(vote) as bigint) as total,
            cast(count(*) as bigint) as votes,
            max(vote) as best
        from placed
        group by least(one, other), greatest(one, other)
        """,
    )


def _find_wishes(engine: Engine, bonds: str, least: int) -> None:
    engine.create_table(
        "linkage_wish",
        f"""
        select
            low,
            high,
            total / votes as mean
        from {bonds}
        where best >= {least} and total >= {least} * votes
        """,
    )


def _remove_forbidden(engine: Engine, holdings: str, place: str) -> None:
    """Take away the wishes whose two clusters would hold too many values of a type together."""
    if engine.scalar(f"select count(*) from {holdings}") == 0:
        return
    engine.create_table(
        "linkage_wish_allowed",
        f"""
        with held as (
            select distinct
                places.cluster,
                holdings.type,
                holdings.value,
                holdings.most
            from {holdings} as holdings
            inner join {place} as places on holdings.unit = places.unit
        ),

        together as (
            select
                linkage_wish.low,
                linkage_wish.high,
                held.type,
                held.value,
                held.most
            from linkage_wish
            inner join held on linkage_wish.low = held.cluster
            union
            select
                linkage_wish.low,
                linkage_wish.high,
                held.type,
                held.value,
                held.most
            from linkage_wish
            inner join held on linkage_wish.high = held.cluster
        ),

        forbidden as (
            select distinct
                low,
                high
            from (
                select
                    low,
                    high
                from together
                group by low, high, type, most
                having count(*) > most
            ) as crowded
        )

        select linkage_wish.*
        from linkage_wish
        anti join forbidden on linkage_wish.low = forbidden.low and linkage_wish.high = forbidden.high
        """,
    )
    engine.drop("linkage_wish")
    engine.create_table("linkage_wish", "select * from linkage_wish_allowed")
    engine.drop("linkage_wish_allowed")


def _find_mutual(engine: Engine) -> int:
    """Make `linkage_merge(low, high)`: the clusters that are each other's best neighbour; count them.

    Both sides rank a pair by the same order, so that the best pair of all is always mutual.
    """
    engine.create_table(
        "linkage_merge",
        """
        with sides as (
            select
                low as cluster,
                low,
                high,
                mean
            from linkage_wish
            union all
            select
                high as cluster,
                low,
                high,
                mean
            from linkage_wish
        ),

        ranked as (
            select
                low,
                high,
                row_number() over (partition by cluster order by mean desc, low, high) as place
            from sides
        )

        select
            low,
            high
        from ranked
        where place = 1
        group by low, high
        having count(*) = 2
        """,
    )
    return engine.scalar("select count(*) from linkage_merge")
