"""What a day of identity hands on: the queries behind its files, their columns and their keys."""

from __future__ import annotations

from collections.abc import Iterable

from include.identity.changes import VANISHED
from include.identity.engine import Engine, text
from include.identity.guards import SHARED, TWO_PEOPLE
from include.identity.ids import REGISTRY
from include.identity.limits import LIMIT
from include.identity.rules import EXACT, LINK_NUMBER, Strength, types_named

SCHEMAS = {
    "node_customers": {
        "node_key": "varchar",
        "kind": "varchar",
        "channel": "varchar",
        "record_id": "varchar",
        "customer_id": "varchar",
        "exact_id": "varchar",
        "loose_id": "varchar",
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
        "kind": "varchar",
        "channel": "varchar",
        "record_id": "varchar",
        "id_type": "varchar",
        "id_value": "varchar",
        "tier": "varchar",
        "first_seen_at": "timestamp",
        "last_seen_at": "timestamp",
        "observations": "bigint",
        "status": "varchar",
        "reason": "varchar",
    },
    "ids": REGISTRY["ids"],
    "changes": REGISTRY["changes"],
    "history": REGISTRY["history"],
    "links": {
        "node_key_a": "varchar",
        "node_key_b": "varchar",
        "channel_a": "varchar",
        "record_id_a": "varchar",
        "channel_b": "varchar",
        "record_id_b": "varchar",
        "customer_id": "varchar",
        "tier": "varchar",
        "rule": "varchar",
        "evidence": "varchar",
        "probability": "double",
        "match_weight": "double",
    },
    "health": {"as_of_date": "date", "measure": "varchar", "part": "varchar", "value": "bigint"},
}
KEYS = {
    "node_customers": "node_key",
    "identifier_customers": "id_type, id_value, customer_id",
    "edges": "node_key, id_type, id_value",
    "ids": "customer_id",
    "changes": "as_of_date, customer_id, change, previous_customer_id",
    "history": "issued_customer_id, as_of_date",
    "links": "node_key_a, node_key_b",
    "health": "measure, part",
}

# What the next round of a replay needs to know of the nodes.
NAMED_NODES = """
    select distinct
        staged.node_key,
        node_customer.customer_id
    from staged
    inner join node_customer on staged.node = node_customer.node
    """


def create_results(engine: Engine, types: Iterable[Strength]) -> None:
    """Make what several files are written from: what ties a node, and the fate of every edge."""
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
    engine.create_view("staged_edge", _with_fate("staged", types))
    engine.create_view("observed_edge", _with_fate("observation", types))


def _with_fate(edges: str, types: Iterable[Strength]) -> str:
    tiers = "".join(f" when {each.number} then {text(each.tier)}" for each in types if each.tier != EXACT)
    return f"""
        select
            edges.*,
            {f"case edges.type{tiers} else {text(EXACT)} end" if tiers else text(EXACT)} as tier,
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


def result(table: str) -> str:
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
        ),

        linked as (
            select
                ends.node
            from (
                select node_a as node, node_b as other from link
                union all
                select node_b as node, node_a as other from link
            ) as ends
            inner join node_customer as here on ends.node = here.node
            inner join node_customer as there on ends.other = there.node
            where here.customer_id = there.customer_id
            group by ends.node
        )

        select
            nodes.node_key,
            nodes.kind,
            nodes.channel,
            nodes.record_id,
            node_customer.customer_id,
            node_tier_id.exact_id,
            node_tier_id.loose_id,
            case
                when node_tier_id.exact_id is distinct from node_customer.customer_id then 'strict' else 'exact'
            end as tier,
            concat_ws(',', nullif(tie.linked_by, ''), case when linked.node is not null then 'linkage' end) as linked_by
        from nodes
        inner join node_customer on nodes.node = node_customer.node
        left join node_tier_id on nodes.node = node_tier_id.node
        left join tie on nodes.node = tie.node
        left join linked on nodes.node = linked.node
        """
    if table == "links":
        return """
        with nodes as (
            select
                node,
                min(node_key) as node_key,
                min(channel) as channel,
                min(record_id) as record_id
            from staged
            where node in (select node_a from link union all select node_b from link)
            group by node
        )

        select
            one.node_key as node_key_a,
            other.node_key as node_key_b,
            one.channel as channel_a,
            one.record_id as record_id_a,
            other.channel as channel_b,
            other.record_id as record_id_b,
            case when customer_a.customer_id = customer_b.customer_id then customer_a.customer_id end as customer_id,
            link.tier,
            link.rule,
            link.evidence,
            link.probability,
            link.match_weight
        from link
        inner join nodes as one on link.node_a = one.node
        inner join nodes as other on link.node_b = other.node
        inner join node_customer as customer_a on link.node_a = customer_a.node
        inner join node_customer as customer_b on link.node_b = customer_b.node
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
            and staged_edge.type < {LINK_NUMBER}
            and (
                staged_edge.status <> 'blocked'
                or staged_edge.reason in {(SHARED, TWO_PEOPLE)}
                or staged_edge.reason like {text(LIMIT + ":%")}
            )
        group by staged_edge.id_type, staged_edge.id_value, node_customer.customer_id
        """
    if table == "edges":
        return f"select {', '.join(SCHEMAS['edges'])} from staged_edge"
    if table == "ids":
        return "select * from id_after"
    if table == "history":
        return "select * from history_after"
    if table == "changes":
        columns = ", ".join(SCHEMAS["changes"])
        return f"""
        select {columns} from registry_change
        union all
        select {columns} from change_of_customer where change <> {text(VANISHED)}
        """
    return "select * from health"
