"""Which customer id a component gets: the one its nodes had before, or a new one from the record that anchors it.

The registry is what the latest identity day before this one left: the id of every node, and every id ever given.
A component takes over the id that most of its nodes had; of equals the one that was given first, then the smallest.
An id goes to one component, of equals to the one with the record it was made from, and a component takes one id.
A component without an earlier id gets one that is made from its anchor. An id that was given once never comes back
for somebody else.
"""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

from include.identity.engine import Engine, hashed, parquet
from include.lake import Lake, earlier_days

# The files of a day that the next day builds on, with the columns it reads.
REGISTRY = {
    "node_customers": {"node_key": "varchar", "customer_id": "varchar"},
    "ids": {
        "customer_id": "varchar",
        "base_id": "varchar",
        "variant": "integer",
        "anchor_key": "varchar",
        "issued_on": "date",
        "is_held": "boolean",
        "is_anchored": "boolean",
    },
    "history": {
        "issued_customer_id": "varchar",
        "customer_id": "varchar",
        "change": "varchar",
        "reason": "varchar",
        "effective_at": "timestamp",
        "as_of_date": "date",
    },
    "changes": {
        "customer_id": "varchar",
        "previous_customer_id": "varchar",
        "change": "varchar",
        "reason": "varchar",
        "as_of_date": "date",
    },
}
RELATIONS = {
    "node_customers": "registry_node",
    "ids": "registry_id",
    "history": "registry_history",
    "changes": "registry_change",
}


def find_registry(lake: Lake, day: date) -> date | None:
    """The latest identity day before `day` that left a registry; later days never count."""
    earlier = earlier_days(lake.identity(day, "ids"))
    return date.fromisoformat(earlier[-1].parent.name.removeprefix("date=")) if earlier else None


def registry_files(lake: Lake, day: date | None) -> dict[str, Path]:
    """The files of the registry of that day, none without a day."""
    return {} if day is None else {table: lake.identity(day, table) for table in REGISTRY}


def forget_days(lake: Lake, day: date, keep_days: int) -> None:
    """Remove what nobody builds on of days more than `keep_days` before `day`: all but the registry, and that too but
    for the last day of each month. A day that is run after one of those plays the days between again."""
    oldest = day - timedelta(days=keep_days)
    folders = [path.parent for path in earlier_days(lake.identity(oldest, "ids"))]
    last_of_month = {folder.name[: len("date=2024-01")]: folder for folder in folders}
    for folder in folders:
        if folder not in last_of_month.values():
            shutil.rmtree(folder)
            continue
        for path in folder.glob("*.parquet"):
            if path.stem not in REGISTRY:
                path.unlink()


def read_registry(engine: Engine, files: dict[str, Path]) -> None:
    """Make `registry_node(node, customer_id)`, `registry_id`, `registry_history` and `registry_change` from the files
    of an earlier day; without files they are empty."""
    for table, relation in RELATIONS.items():
        engine.create_table(relation, rows_of(table, files.get(table)))


def rows_of(table: str, path: Path | None) -> str:
    """A query for the rows of a file of the registry, typed; no row without a path."""
    columns = dict(REGISTRY[table])
    if path is None:
        nothing = ", ".join(f"cast(null as {kind}) as {column}" for column, kind in columns.items())
        source = f"(select {nothing}) as nothing where 1 = 0"
    else:
        source = f"{parquet(path)} as known"
    if table != "node_customers":
        return f"select {', '.join(columns)} from {source}"
    condition = "" if path is None else " where customer_id is not null"
    return f"select {hashed('node_key')} as node, customer_id from {source}{condition}"


def assign_ids(engine: Engine, day: date, membership: str) -> None:
    """Make `customer(component, customer_id)`, `node_customer(node, customer_id)` and `id_after`, the ids ever given.

    Reads `membership(node, component)`, `node_facts`, the registry, and `component_day(component, as_of_date)`: the
    days, other than `day`, on which the components became what they are.
    """
    _find_anchors(engine, membership)
    _count_overlap(engine, membership)
    _take_over(engine)
    _mint(engine)
    engine.create_table(
        "customer",
        """
        select component, customer_id from taken_over
        union all
        select component, customer_id from minted
        """,
    )
    engine.create_table(
        "node_customer",
        f"""
        select
            node_facts.node,
            customer.customer_id
        from node_facts
        left join {membership} as membership on node_facts.node = membership.node
        left join customer on coalesce(membership.component, node_facts.node) = customer.component
        """,
    )
    _keep_book(engine, day)


def create_node_facts(engine: Engine, personal: str) -> None:
    """Make `node_facts(node, landed_on, is_known)`: when a node landed, and whether it knows a person.

    `personal` lists the numbers of the types that name a person.
    """
    engine.create_table(
        "node_facts",
        f"""
        select
            node,
            min(landed_on) as landed_on,
            max(case when is_record then 1 else 0 end) as is_record,
            max(
                case when is_record or (rubbish is null and type in ({personal})) then 1 else 0 end
            ) as is_known
        from observation
        group by node
        """,
    )


def create_customer_components(engine: Engine, personal: str, membership: str) -> None:
    """Make `customer_component(component)`: those with a person's identifier or a record of kind customers.

    Cookies and devices alone are nobody.
    """
    engine.create_table(
        "customer_component",
        f"""
        select
            coalesce(membership.component, node_facts.node) as component
        from node_facts
        left join {membership} as membership on node_facts.node = membership.node
        where node_facts.is_record = 1
        union
        select
            coalesce(membership.component, mergeable.node) as component
        from mergeable
        left join {membership} as membership on mergeable.node = membership.node
        where mergeable.type in ({personal})
        """,
    )


def _find_anchors(engine: Engine, membership: str) -> None:
    """Make `anchor(component, landed_on, node)`: of the nodes that know a person the one that landed first, then the
    smallest. When a node was seen is no part of that order: a late event may move it back and would change the id.
    """
    engine.create_table(
        "known",
        f"""
        select
            node_facts.node,
            coalesce(membership.component, node_facts.node) as component,
            node_facts.landed_on
        from node_facts
        left join {membership} as membership on node_facts.node = membership.node
        where node_facts.is_known = 1
        """,
    )
    engine.create_table(
        "anchor",
        """
        with first_days as (
            select
                known.component,
                min(known.landed_on) as landed_on
            from known
            inner join customer_component on known.component = customer_component.component
            group by known.component
        )

        select
            known.component,
            min(known.landed_on) as landed_on,
            min(known.node) as node
        from known
        inner join first_days
            on known.component = first_days.component and known.landed_on = first_days.landed_on
        group by known.component
        """,
    )
    engine.drop("known")


def _count_overlap(engine: Engine, membership: str) -> None:
    """Make `overlap(component, customer_id, nodes, is_home, …)`: how many nodes of a component had which id, and
    whether the record that the id was made from is among them."""
    engine.create_table(
        "overlap",
        f"""
        with counted as (
            select
                coalesce(membership.component, registry_node.node) as component,
                registry_node.customer_id,
                count(*) as nodes
            from registry_node
            left join {membership} as membership on registry_node.node = membership.node
            group by coalesce(membership.component, registry_node.node), registry_node.customer_id
        ),

        homes as (
            select
                registry_id.customer_id,
                coalesce(membership.component, node_facts.node) as component
            from registry_id
            inner join node_facts on {hashed("registry_id.anchor_key")} = node_facts.node
            left join {membership} as membership on node_facts.node = membership.node
            where registry_id.is_anchored
        )

        select
            counted.component,
            counted.customer_id,
            counted.nodes,
            case when homes.component is null then 0 else 1 end as is_home,
            registry_id.issued_on,
            anchor.landed_on,
            anchor.node
        from counted
        inner join anchor on counted.component = anchor.component
        inner join registry_id on counted.customer_id = registry_id.customer_id
        left join homes
            on counted.customer_id = homes.customer_id and counted.component = homes.component
        """,
    )


def _take_over(engine: Engine) -> None:
    """Make `taken_over(component, customer_id)`: from the largest overlap to the smallest, what is free is taken.

    Most ids and components meet nobody else. Of the others, each round joins those that are each other's best, which
    is what going through the pairs one by one would give; the best pair of all is among them, so it ends.
    """
    engine.create_table(
        "taken_over",
        """
        with components as (
            select component from overlap group by component having count(*) = 1
        ),

        ids as (
            select customer_id from overlap group by customer_id having count(*) = 1
        )

        select
            overlap.component,
            overlap.customer_id
        from overlap
        inner join components on overlap.component = components.component
        inner join ids on overlap.customer_id = ids.customer_id
        """,
    )
    left, number = "overlap", 0
    while True:
        free = f"free_{number}"
        engine.create_table(
            free,
            f"""
            select pairs.*
            from {left} as pairs
            anti join taken_over as components on pairs.component = components.component
            anti join taken_over as ids on pairs.customer_id = ids.customer_id
            """,
        )
        engine.drop(left)
        if engine.scalar(f"select count(*) from {free}") == 0:
            engine.drop(free)
            return
        engine.insert(
            "taken_over",
            f"""
            select
                component,
                customer_id
            from (
                select
                    component,
                    customer_id,
                    row_number() over (
                        partition by component order by nodes desc, issued_on, customer_id
                    ) as place_of_id,
                    row_number() over (
                        partition by customer_id order by nodes desc, is_home desc, landed_on, node
                    ) as place_of_component
                from {free}
            ) as ranked
            where place_of_id = 1 and place_of_component = 1
            """,
        )
        left, number = free, number + 1


def _mint(engine: Engine) -> None:
    """Make `minted(component, node, node_key, base_id, variant, customer_id)`: the ids of components without one.

    An anchor that was given an id before and was with it to its end gets that one back; when its id is somebody
    else's it gets the next variant.
    """
    engine.create_table(
        "newcomer",
        """
        with nameless as (
            select
                anchor.component,
                anchor.node
            from anchor
            anti join taken_over on anchor.component = taken_over.component
        ),

        keyed as (
            select
                nameless.component,
                nameless.node,
                min(staged.node_key) as node_key
            from staged
            inner join nameless on staged.node = nameless.node
            group by nameless.component, nameless.node
        )

        select
            component,
            node,
            node_key,
            'c' || substring(md5(node_key), 1, 24) as base_id
        from keyed
        """,
    )
    engine.create_table(
        "minted",
        """
        with issued as (
            select
                base_id,
                count(*) as variants,
                max(case when is_anchored and not is_held then variant end) as own_variant
            from registry_id
            group by base_id
        )

        select
            newcomer.component,
            newcomer.node,
            newcomer.node_key,
            newcomer.base_id,
            coalesce(issued.own_variant, issued.variants, 0) as variant,
            case
                when coalesce(issued.own_variant, issued.variants, 0) = 0 then newcomer.base_id
                else 'c' || substring(
                    md5(
                        newcomer.node_key || '#'
                        || cast(coalesce(issued.own_variant, issued.variants) as varchar)
                    ),
                    1,
                    24
                )
            end as customer_id
        from newcomer
        left join issued on newcomer.base_id = issued.base_id
        """,
    )
    engine.drop("newcomer")


def _keep_book(engine: Engine, day: date) -> None:
    """Make `id_after`, the registry of ids as it is after this day.

    `anchor_key` is forgotten with the record; `is_anchored` says whether the record that an id was made from was with
    it when the id was last held.
    """
    engine.create_table(
        "id_after",
        f"""
        with anchors as (
            select
                registry_id.customer_id,
                node_customer.node,
                node_customer.customer_id as now_with
            from registry_id
            inner join node_customer on {hashed("registry_id.anchor_key")} = node_customer.node
        )

        select
            registry_id.customer_id,
            registry_id.base_id,
            registry_id.variant,
            coalesce(
                minted.node_key, case when anchors.node is not null then registry_id.anchor_key end
            ) as anchor_key,
            registry_id.issued_on,
            customer.customer_id is not null as is_held,
            case
                when minted.node_key is not null then true
                when customer.customer_id is null then registry_id.is_anchored
                else coalesce(anchors.now_with = registry_id.customer_id, false)
            end as is_anchored
        from registry_id
        left join anchors on registry_id.customer_id = anchors.customer_id
        left join customer on registry_id.customer_id = customer.customer_id
        left join minted on registry_id.customer_id = minted.customer_id
        union all
        select
            minted.customer_id,
            minted.base_id,
            minted.variant,
            minted.node_key as anchor_key,
            coalesce(component_day.as_of_date, date '{day:%Y-%m-%d}') as issued_on,
            true as is_held,
            true as is_anchored
        from minted
        left join component_day on minted.component = component_day.component
        anti join registry_id on minted.customer_id = registry_id.customer_id
        """,
    )


def create_tier_ids(engine: Engine, exact: str, loose: str) -> None:
    """Make `node_tier_id(node, exact_id, loose_id)` of the nodes that have a customer.

    `exact` and `loose` are the finer and the coarser partition. The part of a customer that holds the record its id
    was made from has the customer's id as its exact id; any other part has one made from its own first record. The
    loose id is, of the customers of a loose cluster, the one whose id was given first.
    """
    engine.create_table(
        "node_part",
        f"""
        select
            node_customer.node,
            node_customer.customer_id,
            coalesce(finer.component, node_customer.node) as exact_component,
            coalesce(coarser.component, node_customer.node) as loose_component,
            node_facts.is_known,
            node_facts.landed_on
        from node_customer
        inner join node_facts on node_customer.node = node_facts.node
        left join {exact} as finer on node_customer.node = finer.node
        left join {loose} as coarser on node_customer.node = coarser.node
        where node_customer.customer_id is not null
        """,
    )
    engine.create_table(
        "loose_name",
        """
        select
            loose_component,
            customer_id as loose_id
        from (
            select
                members.loose_component,
                members.customer_id,
                row_number() over (
                    partition by members.loose_component order by id_after.issued_on, members.customer_id
                ) as place
            from (select distinct loose_component, customer_id from node_part) as members
            inner join id_after on members.customer_id = id_after.customer_id
        ) as ranked
        where place = 1
        """,
    )
    _name_parts(engine)
    engine.create_table(
        "node_tier_id",
        """
        select
            node_part.node,
            coalesce(part_name.exact_id, node_part.customer_id) as exact_id,
            loose_name.loose_id
        from node_part
        inner join loose_name on node_part.loose_component = loose_name.loose_component
        left join part_name
            on
                node_part.customer_id = part_name.customer_id
                and node_part.exact_component = part_name.exact_component
        """,
    )
    engine.drop("node_part", "loose_name", "part_name")


def _name_parts(engine: Engine) -> None:
    """Make `part_name(customer_id, exact_component, exact_id)`: the parts of customers that have an id of their own."""
    engine.create_table(
        "part",
        f"""
        with several as (
            select customer_id
            from node_part
            group by customer_id
            having min(exact_component) <> max(exact_component)
        ),

        ranked as (
            select
                node_part.customer_id,
                node_part.exact_component,
                node_part.node,
                node_part.landed_on,
                row_number() over (
                    partition by node_part.customer_id, node_part.exact_component
                    order by node_part.is_known desc, node_part.landed_on, node_part.node
                ) as place
            from node_part
            inner join several on node_part.customer_id = several.customer_id
        ),

        home as (
            select distinct
                node_part.customer_id,
                node_part.exact_component
            from node_part
            inner join several on node_part.customer_id = several.customer_id
            inner join id_after on node_part.customer_id = id_after.customer_id
            where node_part.node = {hashed("id_after.anchor_key")}
        )

        select
            ranked.customer_id,
            ranked.exact_component,
            ranked.node,
            row_number() over (
                partition by ranked.customer_id
                order by
                    case when home.exact_component is null then 1 else 0 end,
                    ranked.landed_on,
                    ranked.node
            ) as place
        from ranked
        left join home
            on ranked.customer_id = home.customer_id and ranked.exact_component = home.exact_component
        where ranked.place = 1
        """,
    )
    # Mostly the tiers are the same, and then no key is needed.
    keys = "staged" if engine.scalar("select count(*) from part") else "(select * from staged where 1 = 0)"
    engine.create_table(
        "part_name",
        f"""
        with keyed as (
            select
                part.customer_id,
                part.exact_component,
                min(staged.node_key) as node_key
            from {keys} as staged
            inner join part on staged.node = part.node
            where part.place > 1
            group by part.customer_id, part.exact_component
        )

        select
            keyed.customer_id,
            keyed.exact_component,
            case
                when customer.customer_id is null then 'c' || substring(md5(keyed.node_key), 1, 24)
                else 'c' || substring(md5(keyed.node_key || '#exact'), 1, 24)
            end as exact_id
        from keyed
        left join customer on 'c' || substring(md5(keyed.node_key), 1, 24) = customer.customer_id
        """,
    )
    engine.drop("part")
