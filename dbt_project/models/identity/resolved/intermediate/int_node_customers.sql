with

node_customers as (

    select * from {{ source('identity', 'node_customers') }}

),

evidence as (

    select * from {{ ref('identity_evidence') }}

),

node_times as (

    select
        node_key,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at,
    from evidence
    group by all

),

final as (

    select
        node_customers.node_key,
        node_customers.kind,
        node_customers.channel,
        node_customers.record_id,
        node_customers.customer_id,
        node_customers.exact_id,
        node_customers.loose_id,
        node_customers.tier,
        node_customers.linked_by,
        node_times.first_seen_at,
        node_times.last_seen_at,
    from node_customers
    left join node_times
        on node_customers.node_key = node_times.node_key
    where node_customers.customer_id is not null

)

select * from final
