"""Evidence of one business day in, customers out: who each record belongs to, and everything that was decided.

The result is a function of the evidence and the rules alone. A customer's id comes from the record that anchors
it, so a later day, a re-run and a rebuild from nothing all give the same id; the days before are only read to say
what changed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date

from include.identity.changes import create_changes, find_previous
from include.identity.components import connect
from include.identity.engine import Engine, hashed, opened, parquet, text
from include.identity.guards import SHARED, block_too_many_partners, create_evidence_views, separate
from include.identity.rules import IdentityRules, Strength, rubbish, strengths, type_number, types_named
from include.lake import Lake, replacing
from include.ledger import StepFailed
from include.settings import Settings

logger = logging.getLogger(__name__)

EVIDENCE = {
    "node_key": "varchar",
    "kind": "varchar",
    "channel": "varchar",
    "record_id": "varchar",
    "id_type": "varchar",
    "id_value": "varchar",
    "landed_on": "date",
    "first_seen_at": "timestamp",
    "last_seen_at": "timestamp",
    "observations": "bigint",
}
SCHEMAS = {
    "node_customers": {
        "node_key": "varchar",
        "kind": "varchar",
        "channel": "varchar",
        "record_id": "varchar",
        "customer_id": "varchar",
        "tier": "varchar",
        "linked_by": "varchar",
    },
    "identifier_customers": {
        "id_type": "varchar",
        "id_value": "varchar",
        "customer_id": "varchar",
        "first_seen_at": "timestamp",
        "last_seen_at": "timestamp",
        "observations": "bigint",
    },
    "edges": {
        "node_key": "varchar",
        "id_type": "varchar",
        "id_value": "varchar",
        "first_seen_at": "timestamp",
        "last_seen_at": "timestamp",
        "observations": "bigint",
        "status": "varchar",
        "reason": "varchar",
    },
    "changes": {
        "customer_id": "varchar",
        "previous_customer_id": "varchar",
        "change": "varchar",
        "reason": "varchar",
        "as_of_date": "date",
    },
    "health": {
        "as_of_date": "date",
        "customers": "bigint",
        "nodes": "bigint",
        "active_edges": "bigint",
        "blocked_edges": "bigint",
        "removed_edges": "bigint",
        "largest_customer_nodes": "bigint",
    },
}
KEYS = {
    "node_customers": "node_key",
    "identifier_customers": "id_type, id_value, customer_id",
    "edges": "node_key, id_type, id_value",
    "changes": "customer_id, change, previous_customer_id nulls first",
    "health": "as_of_date",
}


@dataclass(frozen=True)
class Resolved:
    """What a day's resolution came to; edges are counted by status, created, merged and split are changes."""

    customers: int
    nodes: int
    active_edges: int
    blocked_edges: int
    removed_edges: int
    largest_customer_nodes: int
    created: int
    merged: int
    split: int


def resolve(lake: Lake, day: date, rules: IdentityRules, settings: Settings) -> Resolved:
    """Decide who is who from the evidence landed up to `day` and write the day's five identity tables.

    Reads `identity_evidence` (one row per node, id type and value; a row without an id type or value is a record
    with no identifier at all) and, to tell changes, the latest identity day before `day`. Without evidence the
    tables are written typed and empty. All tables are replaced together at the end.

    Raises StepFailed when the evidence lacks a column.
    """
    types = strengths(rules)
    with opened(settings.threads, settings.memory_limit, lake.data / "scratch") as engine:
        _read_evidence(engine, lake, day, rules, types)
        create_evidence_views(engine)
        block_too_many_partners(engine, types)
        effort = connect(engine, "mergeable", "found")
        separate(engine, types, "found", "membership")
        _name_customers(engine, types)
        _create_results(engine, types)
        create_changes(engine, find_previous(lake, day), types)
        _create_health(engine, day)
        with ExitStack() as files:
            paths = {table: files.enter_context(replacing(lake.identity(day, table))) for table in SCHEMAS}
            for table, schema in SCHEMAS.items():
                engine.write(paths[table], schema, _result(table, day), KEYS[table])
        resolved = _summarise(engine)
    logger.info("resolved %s: %s, %s", day, resolved, effort)
    return resolved


def _read_evidence(
    engine: Engine, lake: Lake, day: date, rules: IdentityRules, types: tuple[Strength, ...]
) -> None:
    """Make the view `staged` over the file and the table `observation`, its edges as integers.

    Strings are read from the file again where a result needs them: keeping them would cost most of the memory.
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
    engine.create_view(
        "staged",
        f"""
        select
            landed.*,
            {hashed("node_key")} as node,
            {hashed("id_type || ':' || id_value")} as value,
            {type_number(types)} as type,
            {rubbish(rules)} as rubbish
        from landed
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
            landed_on
        from staged
        """,
    )


def _name_customers(engine: Engine, types: Iterable[Strength]) -> None:
    """Make `anchor(component, node)`: the components that are customers, and the record each gets its id from.

    A customer is a component with a person's identifier or a record of kind customers; cookies and devices alone
    are nobody. Its anchor is, of the nodes that know a person, the one that landed first. When a node was seen is
    no part of that order: a late event may move it back and would change the id.
    """
    personal = ", ".join(str(each.number) for each in types if not each.is_anonymous) or "0"
    engine.create_table(
        "node_facts",
        f"""
        select
            observation.node,
            min(observation.landed_on) as landed_on,
            max(case when observation.is_record then 1 else 0 end) as is_record,
            max(
                case when observation.rubbish is null and observation.type in ({personal}) then 1 else 0 end
            ) as names_person
        from observation
        group by observation.node
        """,
    )
    engine.create_table(
        "known",
        """
        select
            node_facts.node,
            coalesce(membership.component, node_facts.node) as component,
            node_facts.landed_on
        from node_facts
        left join membership on node_facts.node = membership.node
        where node_facts.is_record = 1 or node_facts.names_person = 1
        """,
    )
    engine.create_table(
        "anchor",
        f"""
        with customers as (
            select
                known.component
            from known
            inner join node_facts on known.node = node_facts.node
            where node_facts.is_record = 1
            union
            select
                coalesce(membership.component, mergeable.node) as component
            from mergeable
            left join membership on mergeable.node = membership.node
            where mergeable.type in ({personal})
        ),

        first_days as (
            select
                known.component,
                min(known.landed_on) as landed_on
            from known
            inner join customers on known.component = customers.component
            group by known.component
        )

        select
            known.component,
            min(known.node) as node
        from known
        inner join first_days
            on known.component = first_days.component and known.landed_on = first_days.landed_on
        group by known.component
        """,
    )
    engine.create_table(
        "customer",
        """
        select distinct
            anchor.component,
            'c' || substring(md5(staged.node_key), 1, 24) as customer_id
        from staged
        inner join anchor on staged.node = anchor.node
        """,
    )
    engine.create_table(
        "node_customer",
        """
        select
            node_facts.node,
            customer.customer_id
        from node_facts
        left join membership on node_facts.node = membership.node
        left join customer on coalesce(membership.component, node_facts.node) = customer.component
        """,
    )
    engine.drop("known", "anchor", "node_facts")


def _create_results(engine: Engine, types: tuple[Strength, ...]) -> None:
    """Make the tables that several files are written from: what ties a node, and the fate of every edge."""
    engine.create_table(
        "tie",
        f"""
        select
            node,
            {types_named(types, "type")} as linked_by
        from mergeable
        where value in (select value from mergeable group by value having count(*) > 1)
        group by node
        """,
    )
    engine.create_view("staged_edge", _with_fate("staged"))
    engine.create_view("observed_edge", _with_fate("observation"))


def _with_fate(edges: str) -> str:
    return f"""
        select
            edges.*,
            coalesce(edges.rubbish, powerless.reason, cut.reason) as reason,
            case
                when edges.rubbish is not null or powerless.reason is not null then 'blocked'
                when cut.reason is not null then 'removed'
                else 'active'
            end as status
        from {edges} as edges
        left join powerless on edges.value = powerless.value
        left join cut on edges.node = cut.node and edges.value = cut.value
        where edges.value is not null
        """


def _create_health(engine: Engine, day: date) -> None:
    engine.create_table(
        "health",
        f"""
        with sizes as (
            select
                customer_id,
                count(*) as nodes
            from node_customer
            where customer_id is not null
            group by customer_id
        ),

        edges as (
            select
                coalesce(sum(case when status = 'active' then 1 else 0 end), 0) as active_edges,
                coalesce(sum(case when status = 'blocked' then 1 else 0 end), 0) as blocked_edges,
                coalesce(sum(case when status = 'removed' then 1 else 0 end), 0) as removed_edges
            from observed_edge
        )

        select
            date '{day:%Y-%m-%d}' as as_of_date,
            (select count(*) from sizes) as customers,
            (select count(*) from node_customer) as nodes,
            edges.active_edges,
            edges.blocked_edges,
            edges.removed_edges,
            (select coalesce(max(nodes), 0) from sizes) as largest_customer_nodes
        from edges
        """,
    )


def _result(table: str, day: date) -> str:
    """The query behind a file, before it is typed and ordered."""
    if table == "node_customers":
        return """
        with nodes as (
            select
                node,
                min(node_key) as node_key,
                min(kind) as kind,
                min(channel) as channel,
                min(record_id) as record_id
            from staged
            group by node
        )

        select
            nodes.node_key,
            nodes.kind,
            nodes.channel,
            nodes.record_id,
            node_customer.customer_id,
            'exact' as tier,
            coalesce(tie.linked_by, '') as linked_by
        from nodes
        inner join node_customer on nodes.node = node_customer.node
        left join tie on nodes.node = tie.node
        """
    if table == "identifier_customers":
        # A shared value stays with everyone whose own records carry it; rubbish is nobody's.
        return f"""
        select
            staged_edge.id_type,
            staged_edge.id_value,
            node_customer.customer_id,
            min(staged_edge.first_seen_at) as first_seen_at,
            max(staged_edge.last_seen_at) as last_seen_at,
            sum(staged_edge.observations) as observations
        from staged_edge
        inner join node_customer on staged_edge.node = node_customer.node
        where
            node_customer.customer_id is not null
            and (staged_edge.status <> 'blocked' or staged_edge.reason = {text(SHARED)})
        group by staged_edge.id_type, staged_edge.id_value, node_customer.customer_id
        """
    if table == "edges":
        return f"select {', '.join(SCHEMAS['edges'])} from staged_edge"
    if table == "changes":
        return f"select *, date '{day:%Y-%m-%d}' as as_of_date from change_of_customer"
    return "select * from health"


def _summarise(engine: Engine) -> Resolved:
    counts = ", ".join(column for column in SCHEMAS["health"] if column != "as_of_date")
    (health,) = engine.rows(f"select {counts} from health")
    changes = dict(engine.rows("select change, count(*) from change_of_customer group by change"))
    return Resolved(*health, *(changes.get(change, 0) for change in ("created", "merged", "split")))
