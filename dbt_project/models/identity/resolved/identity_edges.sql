with

node_customers as (

    select * from {{ source('identity', 'node_customers') }}

),

edges as (

    select * from {{ source('identity', 'edges') }}

),

identifiers as (

    select
        edges.node_key,
        node_customers.customer_id,
        edges.kind,
        edges.channel,
        edges.record_id,
        case when edges.id_type in ('manual_link', 'manual_block') then 'manual' else 'deterministic' end as method,
        edges.id_type as rule,
        edges.id_type,
        edges.id_value,
        edges.tier,
        edges.status,
        edges.reason,
        edges.observations,
        edges.first_seen_at,
        edges.last_seen_at,
    from edges
    inner join node_customers
        on edges.node_key = node_customers.node_key

),

final as (

    select
        md5(concat_ws(' ', node_key, rule, id_type || ':' || id_value)) as edge_id,
        customer_id,
        kind,
        channel,
        record_id,
        method,
        rule,
        id_type,
        id_value,
        tier,
        status,
        reason,
        observations,
        first_seen_at,
        last_seen_at,
    from identifiers

)

select * from final
