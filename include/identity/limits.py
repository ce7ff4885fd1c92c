"""How many values of a type one customer may have: what is too much is cut at the weakest evidence.

The values of a type are counted in the order in which they were first seen. A value is too much when as many as the
limit allows were first seen before it, the earliest of them no longer ago than the window; so the first ones stay,
and a later day never takes one away. Works on the relations of `include.identity.guards`.
"""

from __future__ import annotations

from collections.abc import Sequence

from include.identity.components import connect
from include.identity.engine import Engine, text
from include.identity.guards import still_tied
from include.identity.rules import Strength

LIMIT = "limit"


def keep_limits(engine: Engine, types: Sequence[Strength], found: str, result: str) -> None:
    """Make `result(node, component)` from the components `found`, with those repaired that hold too many values.

    Such a component is built again from its strongest evidence to its weakest, a type at a time. Of a type's own
    values a part that stronger evidence ties together keeps the first ones; the edges of the others are cut. A value
    that would join parts which together hold too many values of its own or of a stronger type is blocked. Nothing is
    touched outside of these components, so the cost grows with what is too large and not with the graph.
    """
    limited = [id_type for id_type in types if not (id_type.is_unique or id_type.is_manual)]
    _find_excessive(engine, types, limited, found)
    if engine.scalar("select count(*) from excessive") == 0:
        engine.create_table(result, f"select node, component from {found}")
        engine.drop("excessive")
        return

    engine.create_table(
        "member",
        f"""
        select
            node,
            component
        from {found}
        where component in (select component from excessive)
        union all
        select
            component as node,
            component
        from excessive
        """,
    )
    # Neither table is joined on a view that looks at every edge again.
    engine.create_table(
        "weighed",
        """
        select
            mergeable.node,
            mergeable.value,
            mergeable.type,
            mergeable.first_seen_at
        from mergeable
        where mergeable.node in (select node from member)
        """,
    )
    engine.create_table("part_0", "select node, node as part from member")
    part, counted = "part_0", []
    for step, id_type in enumerate(sorted(types, key=lambda each: each.order), 1):
        if id_type in limited:
            counted.append(id_type)
            _cut_excess(engine, id_type, part)
        part = _join_within_limits(engine, id_type, counted, part, f"part_{step}")
    engine.create_table(
        result,
        f"""
        select
            node,
            component
        from {found}
        where component not in (select component from excessive)
        union all
        select
            node,
            part as component
        from {part}
        where node <> part
        """,
    )
    engine.drop("excessive", "member", "weighed", part)


def _excess(id_type: Strength, relation: str, group: str) -> str:
    """A query for the values of the relation `(group, value, first_seen_at)` that are too much, once per value."""
    window = (
        f" and first_seen_at <= earlier_at + interval '{id_type.window_days}' day"
        if id_type.window_days
        else ""
    )
    return f"""
        select
            {group},
            value
        from (
            select
                {group},
                value,
                first_seen_at,
                lag(first_seen_at, {id_type.limit}) over (
                    partition by {group}
                    order by first_seen_at, value
                ) as earlier_at
            from (
                select
                    {group},
                    value,
                    min(first_seen_at) as first_seen_at
                from {relation}
                group by {group}, value
            ) as each_value
        ) as compared
        where earlier_at is not null{window}
        """


def _find_excessive(
    engine: Engine, types: Sequence[Strength], limited: Sequence[Strength], found: str
) -> None:
    """Make `excessive(component)`: the components with too many values of a type."""
    if not limited:
        engine.create_table("excessive", f"select component from {found} where 1 = 0")
        return
    lowest = min(id_type.limit for id_type in limited)
    # A component with more values than nodes has a node with several: a record whose identifiers changed.
    engine.create_table(
        "sizeable",
        f"""
        select component
        from {found}
        group by component
        having count(*) >= {lowest}
        union
        select
            coalesce(found.component, changed.node) as component
        from (
            select distinct node
            from mergeable
            where is_record
            group by node, type
            having count(*) > 1
        ) as changed
        left join {found} as found on changed.node = found.node
        """,
    )
    engine.create_table(
        "held_value",
        f"""
        select
            sizeable.component,
            mergeable.type,
            mergeable.value,
            min(mergeable.first_seen_at) as first_seen_at
        from mergeable
        left join {found} as found on mergeable.node = found.node
        inner join sizeable on coalesce(found.component, mergeable.node) = sizeable.component
        group by sizeable.component, mergeable.type, mergeable.value
        """,
    )
    queries = [
        _excess(id_type, f"(select * from held_value where type = {id_type.number}) as held", "component")
        for id_type in limited
    ]
    # Of cookies and devices alone, which are nobody, it does not matter how many there are.
    personal = ", ".join(str(each.number) for each in types if not each.is_anonymous) or "0"
    excess = "\nunion\n".join(
        f"select component from ({query}) as excess_{number}" for number, query in enumerate(queries)
    )
    engine.create_table(
        "excessive",
        f"select component from held_value where type in ({personal}) intersect ({excess})",
    )
    engine.drop("sizeable", "held_value")


def _cut_excess(engine: Engine, id_type: Strength, part: str) -> None:
    """Cut the edges by which a part, tied together by stronger evidence, has too many values of the type."""
    engine.create_table(
        "own_value",
        f"""
        select
            parts.part,
            weighed.value,
            weighed.first_seen_at
        from weighed
        inner join {part} as parts on weighed.node = parts.node
        where weighed.type = {id_type.number}
        """,
    )
    engine.insert(
        "cut",
        f"""
        select
            weighed.node,
            weighed.value,
            {text(f"{LIMIT}:{id_type.name}")} as reason
        from ({_excess(id_type, "own_value", "part")}) as excess
        inner join {part} as parts on excess.part = parts.part
        inner join weighed on parts.node = weighed.node and excess.value = weighed.value
        """,
    )
    engine.drop("own_value")


def _join_within_limits(
    engine: Engine, id_type: Strength, counted: Sequence[Strength], part: str, result: str
) -> str:
    """Join parts by the values of one type as far as the limits of the types `counted` allow; name the parts.

    What joins without harm is joined at once. Of what is left, a value that would by itself join too much is blocked,
    and each part takes part in one join a round, by the value that most of its records carry, so that every join can
    be checked before it is made: each round makes a join or blocks a value, so it ends.
    """
    round_number, current = 0, part
    while True:
        _find_bridges(engine, id_type, current)
        if engine.scalar("select count(*) from bridge") == 0:
            engine.drop("bridge")
            return current
        connect(engine, "bridge", "joined")
        _find_harm(
            engine,
            counted,
            current,
            "select coalesce(joined.component, bridge.node) as union_id, bridge.node as part"
            " from bridge left join joined on bridge.node = joined.node",
        )
        engine.create_table(
            "harmful_bridge",
            """
            select
                bridge.node,
                bridge.value
            from bridge
            left join joined on bridge.node = joined.node
            where coalesce(joined.component, bridge.node) in (select union_id from harm)
            """,
        )
        engine.drop("harm")
        _find_harm(engine, counted, current, "select value as union_id, node as part from harmful_bridge")
        engine.insert(
            "powerless",
            f"""
            select
                union_id as value,
                min({text(LIMIT + ":")} || type_name) as reason
            from harm
            group by union_id
            """,
        )
        _choose_joins(engine)
        engine.create_table(
            f"{result}_{round_number}",
            f"""
            select
                parts.node,
                coalesce(joined.component, parts.part) as part
            from {current} as parts
            left join (
                select
                    node,
                    component
                from joined
                where node not in (select node from harmful_bridge)
                union all
                select
                    node,
                    component
                from chosen
                where node <> component
            ) as joined on parts.part = joined.node
            """,
        )
        engine.drop("bridge", "joined", "harm", "harmful_bridge", "chosen", current)
        current, round_number = f"{result}_{round_number}", round_number + 1


def _find_bridges(engine: Engine, id_type: Strength, part: str) -> None:
    """Make `bridge(node, value)`: the parts, as nodes, and the values of the type that two or more of them hold."""
    engine.create_table(
        "bridge",
        f"""
        with touches as (
            select distinct
                parts.part as node,
                weighed.value
            from weighed
            inner join {part} as parts on weighed.node = parts.node
            {still_tied("weighed")}
            where weighed.type = {id_type.number}
        )

        select
            node,
            value
        from touches
        where value in (select value from touches group by value having count(*) > 1)
        """,
    )


def _find_harm(engine: Engine, counted: Sequence[Strength], part: str, unions: str) -> None:
    """Make `harm(union_id, type_name)`: of the sets of parts in `unions(union_id, part)`, those that together hold
    too many values of a type."""
    if not counted:
        engine.create_table("harm", f"select union_id, '' as type_name from ({unions}) as unions where 1 = 0")
        return
    engine.create_table("union_part", unions)
    engine.create_table(
        "union_value",
        f"""
        select
            union_part.union_id,
            weighed.type,
            weighed.value,
            min(weighed.first_seen_at) as first_seen_at
        from union_part
        inner join {part} as parts on union_part.part = parts.part
        inner join weighed on parts.node = weighed.node
        {still_tied("weighed")}
        group by union_part.union_id, weighed.type, weighed.value
        """,
    )
    queries = [
        f"select union_id, {text(id_type.name)} as type_name from ("
        + _excess(id_type, f"(select * from union_value where type = {id_type.number}) as held", "union_id")
        + f") as excess_{id_type.number}"
        for id_type in counted
    ]
    engine.create_table("harm", "\nunion\n".join(queries))
    engine.drop("union_part", "union_value")


def _choose_joins(engine: Engine) -> None:
    """Make `chosen(node, component)`: the joins of this round among the harmful bridges that do no harm alone.

    A value is chosen when it is the best of every part that holds it: the one on most parts, then the smallest.
    """
    engine.create_table(
        "chosen",
        """
        with allowed as (
            select
                node,
                value
            from harmful_bridge
            where value not in (select union_id from harm)
        ),

        weights as (
            select
                value,
                count(*) as parts
            from allowed
            group by value
        ),

        ranked as (
            select
                allowed.node,
                allowed.value,
                row_number() over (
                    partition by allowed.node
                    order by weights.parts desc, allowed.value
                ) as preference
            from allowed
            inner join weights on allowed.value = weights.value
        ),

        agreed as (
            select
                value,
                min(node) as component
            from ranked
            group by value
            having max(preference) = 1
        )

        select
            ranked.node,
            agreed.component
        from ranked
        inner join agreed on ranked.value = agreed.value
        """,
    )
