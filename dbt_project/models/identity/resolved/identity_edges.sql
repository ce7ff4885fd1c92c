with

node_customers as (

    select * from {{ source('identity', 'node_customers') }}

),

edges as (

    select * from {{ source('identity', 'edges') }}

),

links as (

    select * from {{ source('identity', 'links') }}

),

node_times as (

    select * from {{ ref('int_node_customers') }}

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
        cast(null as varchar) as linked_channel,
        cast(null as varchar) as linked_record_id,
        edges.id_type || ':' || edges.id_value as other_end,
        cast(null as varchar) as evidence,
        edges.tier,
        edges.status,
        edges.reason,
        cast(null as double) as probability,
        cast(null as double) as match_weight,
        edges.observations,
        edges.first_seen_at,
        edges.last_seen_at,
    from edges
    inner join node_customers
        on edges.node_key = node_customers.node_key

),

-- A link that clustering did not follow is outvoted: other records of the two say that they are not one person.
likenesses as (

    select
        links.node_key_a as node_key,
        one.customer_id,
        'customers' as kind,
        links.channel_a as channel,
        links.record_id_a as record_id,
        'probabilistic' as method,
        links.rule,
        cast(null as varchar) as id_type,
        cast(null as varchar) as id_value,
        links.channel_b as linked_channel,
        links.record_id_b as linked_record_id,
        links.node_key_b as other_end,
        links.evidence,
        links.tier,
        one.loose_id = other.loose_id
        and (links.tier = 'loose' or one.customer_id = other.customer_id) as is_followed,
        links.probability,
        links.match_weight,
        greatest(one.first_seen_at, other.first_seen_at) as first_seen_at,
        greatest(one.last_seen_at, other.last_seen_at) as last_seen_at,
    from links
    inner join node_times as one
        on links.node_key_a = one.node_key
    inner join node_times as other
        on links.node_key_b = other.node_key

),

united as (

    select * from identifiers

    union all by name

    select
        * exclude (is_followed),
        case when is_followed then 'active' else 'removed' end as status,
        case when not is_followed then 'outvoted' end as reason,
        cast(1 as bigint) as observations,
    from likenesses

),

final as (

    select
        md5(concat_ws(' ', node_key, method, other_end)) as edge_id,
        customer_id,
        kind,
        channel,
        record_id,
        method,
        rule,
        id_type,
        id_value,
        linked_channel,
        linked_record_id,
        evidence,
        tier,
        status,
        reason,
        observations,
        probability,
        match_weight,
        first_seen_at,
        last_seen_at,
    from united

)

select * from final
