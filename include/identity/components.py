"""Connected components as set-based statements: what ties records together, found in a few rounds.

Every identifier is contracted to the smallest of its nodes first, so that only edges between nodes survive. Then
each node hooks onto its smallest neighbour, pointers jump until every tree is flat, and the edges between the
trees that remain go into the next round. A node that is the smallest among its neighbours either takes one of them
into its tree or has a smaller neighbour in the round after: two rounds at least halve the nodes, and a tree of
depth d is flat after log2(d) jumps. (Hooking and jumping: Shiloach and Vishkin, 1982.)

Edges that are added to a graph whose components are known only tie components together: `extend` asks where their
ends are, connects those few components, and renames. Edges that are taken away may split a component, and which one
is not to be told from the components: then `connect` has to be asked again.
"""

from __future__ import annotations

from dataclasses import dataclass

from include.identity.engine import Engine


@dataclass(frozen=True)
class Effort:
    """What finding the components took: rounds of hooking and, over all rounds, pointer jumps."""

    rounds: int
    jumps: int


def connect(engine: Engine, edges: str, result: str) -> Effort:
    """Make the table `result(node, component)` of the nodes that are not the smallest of their component.

    `edges` names a relation with the columns `node` and `value`, of any ordered type: nodes that share a value are
    connected. A component is named by its smallest node; a node that is not in `result` is its own component.
    """
    # A value on one node only ties nothing; most values are such, and the join shall not meet them.
    engine.create_table(
        f"{result}_root",
        f"""
        select
            value,
            min(node) as root
        from {edges}
        group by value
        having min(node) < max(node)
        """,
    )
    engine.create_table(
        f"{result}_pair_0",
        f"""
        select
            edges.node as high,
            roots.root as low
        from {edges} as edges
        inner join {result}_root as roots on edges.value = roots.value
        where edges.node > roots.root
        """,
    )
    engine.drop(f"{result}_root")
    if engine.scalar(f"select count(*) from {result}_pair_0") == 0:
        engine.create_table(result, f"select high as node, low as component from {result}_pair_0")
        engine.drop(f"{result}_pair_0")
        return Effort(0, 0)

    rounds, jumps, remaining = 0, 0, 1
    while remaining > 0:
        pairs, hook, tree = (f"{result}_{name}_{rounds}" for name in ("pair", "hook", "tree"))
        engine.create_table(hook, f"select high as node, min(low) as root from {pairs} group by high")
        _leave_pairs_not_hooked(engine, pairs, hook, f"{result}_left")
        jumps += _grow_trees(engine, hook, tree)
        rounds += 1
        _lead_pairs_to_roots(engine, f"{result}_left", tree, f"{result}_pair_{rounds}")
        remaining = engine.scalar(f"select count(*) from {result}_pair_{rounds}")
    engine.drop(f"{result}_pair_{rounds}")
    _lead_to_last_root(engine, rounds, f"{result}_tree", result)
    return Effort(rounds, jumps)


def place_values(engine: Engine, edges: str, components: str, result: str) -> None:
    """Make `result(value, component)`: where every value of the edges is, by the `components` of `connect`."""
    engine.create_table(
        result,
        f"""
        with roots as (
            select
                value,
                min(node) as root
            from {edges}
            group by value
        )
        select
            roots.value,
            coalesce(components.component, roots.root) as component
        from roots
        left join {components} as components on roots.root = components.node
        """,
    )


def follow(engine: Engine, nodes: str, moved: str, result: str) -> None:
    """Make `result(node, component)`: the partition `nodes`, its components led to where `moved` leads them.

    Both relations are as `connect` makes them. What moved is the smallest node of a component, or a node that was
    one by itself: in `nodes` there is neither.
    """
    engine.create_table(
        result,
        f"""
        select
            places.node,
            coalesce(moved.component, places.component) as component
        from {nodes} as places
        left join {moved} as moved on places.component = moved.node
        union all
        select
            node,
            component
        from {moved}
        """,
    )


def extend(engine: Engine, nodes: str, values: str, edges: str, result: str, values_result: str) -> Effort:
    """Make `result(node, component)` and `values_result(value, component)` from those before and new edges.

    `nodes` and `values` are relations as `connect` and `place_values` (or this function) made them of the edges
    before. The results equal what those two make of the edges before and the new ones together: a component's name
    is its smallest node, and the smallest of the smallest is the smallest of all. What is known is read twice and
    written once; everything else costs as much as the new edges.
    """
    engine.create_table(
        f"{result}_touch",
        f"""
        select
            coalesce(places.component, edges.node) as node,
            edges.value,
            0 as is_known
        from {edges} as edges
        left join {nodes} as places on edges.node = places.node
        union all
        select
            places.component as node,
            places.value,
            1 as is_known
        from {values} as places
        where places.value in (select value from {edges})
        """,
    )
    effort = connect(engine, f"{result}_touch", f"{result}_moved")
    follow(engine, nodes, f"{result}_moved", result)
    engine.create_table(
        values_result,
        f"""
        with first_seen as (
            select
                value,
                min(node) as root
            from {result}_touch
            group by value
            having max(is_known) = 0
        )
        select
            places.value,
            coalesce(moved.component, places.component) as component
        from {values} as places
        left join {result}_moved as moved on places.component = moved.node
        union all
        select
            first_seen.value,
            coalesce(moved.component, first_seen.root) as component
        from first_seen
        left join {result}_moved as moved on first_seen.root = moved.node
        """,
    )
    engine.drop(f"{result}_touch", f"{result}_moved")
    return effort


def _leave_pairs_not_hooked(engine: Engine, pairs: str, hook: str, result: str) -> None:
    """Make `result(high, low)`: the pairs that say more than that a node hooked; `pairs` is gone then."""
    engine.create_table(
        result,
        f"""
        select
            pairs.high,
            pairs.low
        from {pairs} as pairs
        inner join {hook} as hooks on pairs.high = hooks.node
        where pairs.low <> hooks.root
        """,
    )
    engine.drop(pairs)


def _grow_trees(engine: Engine, hook: str, tree: str) -> int:
    """Make `tree(node, root)` of the nodes and what they hooked onto, `hook(node, root)`; count the jumps.

    Only nodes that are hooked onto themselves have to jump until each points to its root; the others, which are
    most, follow in one step. Stopping before nothing moves any more would lose merges, so the end is checked, never
    estimated.
    """
    engine.create_table(
        f"{tree}_jump_0",
        f"""
        select
            hooks.node,
            hooks.root
        from {hook} as hooks
        where hooks.node in (select root from {hook})
        """,
    )
    jumps, moved = 0, engine.scalar(f"select count(*) from {tree}_jump_0")
    while moved:
        engine.create_table(
            f"{tree}_jump_{jumps + 1}",
            f"""
            select
                trees.node,
                coalesce(above.root, trees.root) as root,
                case when above.root is null then 0 else 1 end as has_moved
            from {tree}_jump_{jumps} as trees
            left join {tree}_jump_{jumps} as above on trees.root = above.node
            """,
        )
        engine.drop(f"{tree}_jump_{jumps}")
        jumps += 1
        moved = engine.scalar(f"select sum(has_moved) from {tree}_jump_{jumps}")
    engine.create_table(
        tree,
        f"""
        select
            hooks.node,
            coalesce(above.root, hooks.root) as root
        from {hook} as hooks
        left join {tree}_jump_{jumps} as above on hooks.root = above.node
        """,
    )
    engine.drop(hook, f"{tree}_jump_{jumps}")
    return jumps


def _lead_pairs_to_roots(engine: Engine, pairs: str, tree: str, result: str) -> None:
    """Make `result(high, low)`: the trees that the pairs tie together, by their roots; `pairs` is gone then."""
    engine.create_table(
        result,
        f"""
        with relabelled as (
            select
                coalesce(high_trees.root, pairs.high) as one_root,
                coalesce(low_trees.root, pairs.low) as other_root
            from {pairs} as pairs
            left join {tree} as high_trees on pairs.high = high_trees.node
            left join {tree} as low_trees on pairs.low = low_trees.node
        )
        select distinct
            greatest(one_root, other_root) as high,
            least(one_root, other_root) as low
        from relabelled
        where one_root <> other_root
        """,
    )
    engine.drop(pairs)


def _lead_to_last_root(engine: Engine, rounds: int, tree: str, result: str) -> None:
    """Follow the trees from the last round back: a node hooks once, and later rounds know only roots."""
    known = f"{result}_known_{rounds}"
    engine.create_table(known, f"select node, root as component from {tree}_{rounds - 1} where 1 = 0")
    for number in range(rounds - 1, -1, -1):
        wider = f"{result}_known_{number}" if number else result
        engine.create_table(
            wider,
            f"""
            select
                trees.node,
                coalesce(later.component, trees.root) as component
            from {tree}_{number} as trees
            left join {known} as later on trees.root = later.node
            union all
            select
                node,
                component
            from {known}
            """,
        )
        engine.drop(known, f"{tree}_{number}")
        known = wider
