"""What became of yesterday's customers: created, merged, split, and why."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

from include.identity.engine import Engine, hashed, listed, parquet, text
from include.identity.rules import Strength, types_named
from include.lake import Lake

CREATED, MERGED, SPLIT = "created", "merged", "split"
OTHERWISE = "rules or records changed"


def find_previous(lake: Lake, day: date) -> Path | None:
    """The `node_customers` of the latest identity day before `day`; later days never count."""
    here = lake.identity(day, "node_customers")
    earlier = [
        path
        for path in here.parent.parent.glob(f"date=*/{here.name}")
        if date.fromisoformat(path.parent.name.removeprefix("date=")) < day
    ]
    return max(earlier, key=lambda path: path.parent.name, default=None)


def create_changes(engine: Engine, previous: Path | None, types: Iterable[Strength]) -> None:
    """Make `change_of_customer(customer_id, previous_customer_id, change, reason)`.

    - created: a new id none of whose records belonged to a customer before
    - merged: an id is gone; `customer_id` has (most of) its records now
    - split: a new id whose records belonged to another customer before
    """
    _create_moves(engine, previous)
    _explain_merges(engine, types)
    _explain_splits(engine, types)
    engine.create_table(
        "change_of_customer",
        f"""
        select
            customer_id,
            cast(null as varchar) as previous_customer_id,
            {text(CREATED)} as change,
            'first seen' as reason
        from id_after
        where
            customer_id not in (select customer_id from id_before)
            and customer_id not in (select customer_id from moves)
        union all
        select
            moves.customer_id,
            moves.previous_customer_id,
            moves.change,
            coalesce(linked_pair.reason, parted_pair.reason, {text(OTHERWISE)}) as reason
        from moves
        left join linked_pair
            on
                moves.customer_id = linked_pair.customer_id
                and moves.previous_customer_id = linked_pair.previous_customer_id
        left join parted_pair
            on
                moves.customer_id = parted_pair.customer_id
                and moves.previous_customer_id = parted_pair.previous_customer_id
        """,
    )


def _explain_merges(engine: Engine, types: Iterable[Strength]) -> None:
    """Make `linked_pair`: the id types whose values tie the records of the id that is gone to the others."""
    engine.create_table(
        "linked_pair",
        f"""
        with members as (
            select
                moves.customer_id,
                moves.previous_customer_id,
                mergeable.value,
                mergeable.type,
                max(case when before.customer_id = moves.previous_customer_id then 1 else 0 end) as is_inside,
                max(case when before.customer_id = moves.previous_customer_id then 0 else 1 end) as is_outside
            from moves
            inner join node_customer on moves.customer_id = node_customer.customer_id
            inner join mergeable on node_customer.node = mergeable.node
            left join before on node_customer.node = before.node
            where moves.change = {text(MERGED)}
            group by moves.customer_id, moves.previous_customer_id, mergeable.value, mergeable.type
        )

        select
            customer_id,
            previous_customer_id,
            'linked by ' || {types_named(types, "type")} as reason
        from members
        where is_inside = 1 and is_outside = 1
        group by customer_id, previous_customer_id
        """,
    )


def _explain_splits(engine: Engine, types: Iterable[Strength]) -> None:
    """Make `parted_pair`: what tied the records of the new id to those that stayed, and ties them no more."""
    names = " ".join(f"when {each.number} then {text(each.name)}" for each in types) or "when 0 then ''"
    engine.create_table(
        "parted_pair",
        f"""
        with powerless_edge as (
            select
                observed_edge.node,
                observed_edge.value,
                observed_edge.type,
                observed_edge.reason,
                before.customer_id as previous_customer_id,
                node_customer.customer_id
            from observed_edge
            inner join before on observed_edge.node = before.node
            inner join node_customer on observed_edge.node = node_customer.node
            where
                observed_edge.status <> 'active'
                and before.customer_id in (select previous_customer_id from moves where change = {text(SPLIT)})
        )

        select
            moves.customer_id,
            moves.previous_customer_id,
            {listed(f"case here.type {names} end || ' ' || here.reason")} as reason
        from moves
        inner join powerless_edge as here
            on moves.customer_id = here.customer_id and moves.previous_customer_id = here.previous_customer_id
        inner join powerless_edge as elsewhere
            on here.value = elsewhere.value and here.previous_customer_id = elsewhere.previous_customer_id
        where
            moves.change = {text(SPLIT)}
            and elsewhere.customer_id is distinct from here.customer_id
        group by moves.customer_id, moves.previous_customer_id
        """,
    )


def _create_moves(engine: Engine, previous: Path | None) -> None:
    """Make `before(node, customer_id)`, the distinct ids before and after, and `moves`: which id took records
    of which other id, where one of the two is new or gone."""
    source = (
        f"select {hashed('node_key')} as node, customer_id from {parquet(previous)} where customer_id is not null"
        if previous
        else "select node, customer_id from node_customer where 1 = 0"
    )
    engine.create_table("before", source)
    engine.create_table("id_before", "select distinct customer_id from before")
    engine.create_table(
        "id_after", "select distinct customer_id from node_customer where customer_id is not null"
    )
    engine.create_table(
        "moves",
        f"""
        with counted as (
            select
                node_customer.customer_id,
                before.customer_id as previous_customer_id,
                count(*) as nodes
            from node_customer
            inner join before on node_customer.node = before.node
            where node_customer.customer_id <> before.customer_id
            group by node_customer.customer_id, before.customer_id
        ),

        ranked as (
            select
                counted.customer_id,
                counted.previous_customer_id,
                id_before.customer_id is null as is_new,
                id_after.customer_id is null as is_gone,
                row_number() over (
                    partition by counted.previous_customer_id
                    order by counted.nodes desc, counted.customer_id
                ) as heir
            from counted
            left join id_before on counted.customer_id = id_before.customer_id
            left join id_after on counted.previous_customer_id = id_after.customer_id
        )

        select
            customer_id,
            previous_customer_id,
            case when is_gone and (heir = 1 or not is_new) then {text(MERGED)} else {text(SPLIT)} end as change
        from ranked
        where is_gone or is_new
        """,
    )
