"""What became of the customers since the registry was written: created, merged, split, and why; and where each id
that was ever given leads."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from include.identity.engine import Engine, hashed, listed, text
from include.identity.rules import Strength, types_named

CREATED, MERGED, SPLIT, VANISHED = "created", "merged", "split", "vanished"
OTHERWISE = "rules or records changed"
FIRST_SEEN, NOTHING_LEFT = "first seen", "nothing is known of it any more"


def create_changes(engine: Engine, day: date, membership: str, types: Iterable[Strength]) -> None:
    """Make `change_of_customer(customer_id, previous_customer_id, change, reason, …)` of what happened:

    - created: a new id none of whose nodes belonged to a customer before
    - merged: an id is gone; `customer_id` has most of its nodes now
    - split: `customer_id` has nodes that belonged to another customer before; mostly it is a new id
    - vanished: an id is gone and so is all that was known of it; `customer_id` is NULL

    `is_new` says whether `customer_id` is given by it, for the first time or again. `as_of_date` is the day on which
    it was so for the first time: `day`, unless `component_day` knows better. `effective_at` is when the evidence for
    it was first seen.
    """
    _create_moves(engine, day, membership)
    _explain_merges(engine, types)
    _explain_splits(engine, types)
    _date_splits(engine)
    engine.create_table(
        "change_of_customer",
        f"""
        select
            minted.customer_id,
            cast(null as varchar) as previous_customer_id,
            {text(CREATED)} as change,
            {text(FIRST_SEEN)} as reason,
            true as is_new,
            cast(null as timestamp) as effective_at,
            coalesce(component_day.as_of_date, date '{day:%Y-%m-%d}') as as_of_date
        from minted
        left join component_day on minted.component = component_day.component
        where minted.customer_id not in (select customer_id from moves)
        union all
        select
            moves.customer_id,
            moves.previous_customer_id,
            moves.change,
            coalesce(linked_pair.reason, parted_pair.reason, {text(OTHERWISE)}) as reason,
            moves.is_new,
            coalesce(
                linked_pair.effective_at,
                parted_day.effective_at,
                cast(moves.as_of_date as timestamp)
            ) as effective_at,
            moves.as_of_date
        from moves
        left join linked_pair
            on
                moves.customer_id = linked_pair.customer_id
                and moves.previous_customer_id = linked_pair.previous_customer_id
        left join parted_pair
            on
                moves.customer_id = parted_pair.customer_id
                and moves.previous_customer_id = parted_pair.previous_customer_id
        left join parted_day
            on
                moves.customer_id = parted_day.customer_id
                and moves.previous_customer_id = parted_day.previous_customer_id
        union all
        select
            cast(null as varchar) as customer_id,
            registry_id.customer_id as previous_customer_id,
            {text(VANISHED)} as change,
            {text(NOTHING_LEFT)} as reason,
            false as is_new,
            cast(coalesce(node_day.as_of_date, date '{day:%Y-%m-%d}') as timestamp) as effective_at,
            coalesce(node_day.as_of_date, date '{day:%Y-%m-%d}') as as_of_date
        from registry_id
        left join (
            select
                lost_node.customer_id,
                max(component_day.as_of_date) as as_of_date
            from lost_node
            inner join component_day on lost_node.component = component_day.component
            group by lost_node.customer_id
        ) as node_day on registry_id.customer_id = node_day.customer_id
        where
            registry_id.is_held
            and registry_id.customer_id not in (select customer_id from customer)
            and registry_id.customer_id not in (
                select previous_customer_id from moves where change = {text(MERGED)}
            )
        """,
    )
    engine.drop("linked_pair", "parted_pair", "parted_day", "lost_node")


def create_history(engine: Engine) -> None:
    """Make `history_after`: where each id that was ever given has led, and since when.

    A row holds until the next one of its id. When an id is gone, all that led to it lead on with it. Since when a
    customer has been known is asked of the record that made its id, so a late event may move it back.
    """
    engine.create_table(
        "history_after",
        f"""
        with anchor_seen as (
            select
                id_after.customer_id,
                min(observation.first_seen_at) as first_seen_at
            from id_after
            inner join observation on {hashed("id_after.anchor_key")} = observation.node
            group by id_after.customer_id
        ),

        opened as (
            select
                customer_id,
                as_of_date,
                max(change) as change,
                min(reason) as reason,
                min(effective_at) as effective_at
            from change_of_customer
            where is_new
            group by customer_id, as_of_date
        ),

        ended as (
            select
                previous_customer_id,
                customer_id,
                change,
                reason,
                effective_at,
                as_of_date
            from change_of_customer
            where change in ({text(MERGED)}, {text(VANISHED)})
        ),

        followed as (
            select
                issued_customer_id,
                customer_id
            from (
                select
                    issued_customer_id,
                    customer_id,
                    row_number() over (
                        partition by issued_customer_id order by as_of_date desc
                    ) as age
                from registry_history
                where issued_customer_id in (
                    select registry_history.issued_customer_id
                    from registry_history
                    inner join ended on registry_history.customer_id = ended.previous_customer_id
                )
            ) as each_row
            where age = 1
        ),

        everything as (
            select
                issued_customer_id,
                customer_id,
                change,
                reason,
                effective_at,
                as_of_date
            from registry_history
            union all
            select
                customer_id as issued_customer_id,
                customer_id,
                change,
                reason,
                effective_at,
                as_of_date
            from opened
            union all
            select
                followed.issued_customer_id,
                ended.customer_id,
                ended.change,
                ended.reason,
                ended.effective_at,
                ended.as_of_date
            from ended
            inner join followed on ended.previous_customer_id = followed.customer_id
            where followed.issued_customer_id not in (select customer_id from opened)
        )

        select
            everything.issued_customer_id,
            everything.customer_id,
            everything.change,
            everything.reason,
            case
                when everything.change = {text(CREATED)}
                    then coalesce(
                        anchor_seen.first_seen_at,
                        everything.effective_at,
                        cast(everything.as_of_date as timestamp)
                    )
                else everything.effective_at
            end as effective_at,
            everything.as_of_date
        from everything
        left join anchor_seen on everything.issued_customer_id = anchor_seen.customer_id
        """,
    )


def _explain_merges(engine: Engine, types: Iterable[Strength]) -> None:
    """Make `linked_pair`: the id types whose values tie the nodes of the id that is gone to the others, and since when
    both sides had been seen with one of them."""
    engine.create_table(
        "linked_pair",
        f"""
        with members as (
            select
                moves.customer_id,
                moves.previous_customer_id,
                mergeable.value,
                mergeable.type,
                case
                    when registry_node.customer_id = moves.previous_customer_id then mergeable.first_seen_at
                end as inside_at,
                case
                    when registry_node.customer_id = moves.previous_customer_id then null
                    else mergeable.first_seen_at
                end as outside_at
            from moves
            inner join node_customer on moves.customer_id = node_customer.customer_id
            inner join mergeable on node_customer.node = mergeable.node
            left join registry_node on node_customer.node = registry_node.node
            where moves.change = {text(MERGED)}
        ),

        links as (
            select
                customer_id,
                previous_customer_id,
                value,
                type,
                greatest(min(inside_at), min(outside_at)) as effective_at
            from members
            group by customer_id, previous_customer_id, value, type
            having count(inside_at) > 0 and count(outside_at) > 0
        )

        select
            customer_id,
            previous_customer_id,
            'linked by ' || {types_named(types, "type")} as reason,
            min(effective_at) as effective_at
        from links
        group by customer_id, previous_customer_id
        """,
    )


def _explain_splits(engine: Engine, types: Iterable[Strength]) -> None:
    """Make `parted_pair`: what tied the nodes of the new id to those that stayed, and ties them no more."""
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
                registry_node.customer_id as previous_customer_id,
                node_customer.customer_id
            from observed_edge
            inner join registry_node on observed_edge.node = registry_node.node
            inner join node_customer on observed_edge.node = node_customer.node
            where
                observed_edge.status <> 'active'
                and registry_node.customer_id in (
                    select previous_customer_id from moves where change = {text(SPLIT)}
                )
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


def _date_splits(engine: Engine) -> None:
    """Make `parted_day`: when what landed on the day of a split, with either of the two customers, was first seen."""
    engine.create_table(
        "parted_day",
        f"""
        with either as (
            select customer_id, previous_customer_id, customer_id as one_of_both, as_of_date
            from moves
            where change = {text(SPLIT)}
            union all
            select customer_id, previous_customer_id, previous_customer_id as one_of_both, as_of_date
            from moves
            where change = {text(SPLIT)}
        )

        select
            either.customer_id,
            either.previous_customer_id,
            min(observation.first_seen_at) as effective_at
        from either
        inner join node_customer on either.one_of_both = node_customer.customer_id
        inner join observation
            on node_customer.node = observation.node and either.as_of_date = observation.landed_on
        group by either.customer_id, either.previous_customer_id
        """,
    )


def _create_moves(engine: Engine, day: date, membership: str) -> None:
    """Make `moves`: which id took nodes of which other id, where one of the two is new or gone or a node that knows a
    person went; and `lost_node`, the nodes of ids that are gone."""
    engine.create_table(
        "lost_node",
        f"""
        select
            registry_node.customer_id,
            registry_node.node,
            coalesce(membership.component, node_facts.node) as component
        from registry_node
        inner join node_facts on registry_node.node = node_facts.node
        left join {membership} as membership on registry_node.node = membership.node
        where registry_node.customer_id not in (select customer_id from customer)
        """,
    )
    engine.create_table(
        "moves",
        f"""
        with counted as (
            select
                node_customer.customer_id,
                registry_node.customer_id as previous_customer_id,
                count(*) as nodes,
                max(node_facts.is_known) as has_known
            from node_customer
            inner join registry_node on node_customer.node = registry_node.node
            inner join node_facts on node_customer.node = node_facts.node
            where node_customer.customer_id <> registry_node.customer_id
            group by node_customer.customer_id, registry_node.customer_id
        ),

        ranked as (
            select
                counted.customer_id,
                counted.previous_customer_id,
                counted.has_known,
                minted.customer_id is not null as is_new,
                remaining.customer_id is null as is_gone,
                row_number() over (
                    partition by counted.previous_customer_id
                    order by counted.nodes desc, counted.customer_id
                ) as heir
            from counted
            left join minted on counted.customer_id = minted.customer_id
            left join customer as remaining on counted.previous_customer_id = remaining.customer_id
        )

        select
            ranked.customer_id,
            ranked.previous_customer_id,
            ranked.is_new,
            case when ranked.is_gone and ranked.heir = 1 then {text(MERGED)} else {text(SPLIT)} end as change,
            coalesce(component_day.as_of_date, date '{day:%Y-%m-%d}') as as_of_date
        from ranked
        inner join customer on ranked.customer_id = customer.customer_id
        left join component_day on customer.component = component_day.component
        where ranked.is_gone or ranked.is_new or ranked.has_known = 1
        """,
    )
