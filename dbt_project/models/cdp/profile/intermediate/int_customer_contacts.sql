with

node_customers as (

    select * from {{ ref('int_node_customers') }}

),

edges as (

    select * from {{ source('identity', 'edges') }}

),

-- Blocked values (noreply@, shared by too many) and removed edges never become somebody's address.
active as (

    select
        node_customers.customer_id,
        node_customers.kind,
        node_customers.channel,
        edges.id_type,
        edges.id_value,
        edges.last_seen_at,
    from edges
    inner join node_customers
        on edges.node_key = node_customers.node_key
    where
        edges.status = 'active'
        and edges.id_type in ('email', 'phone')

),

-- What a person said counts before where the company wrote to: a message to an old address makes it no newer.
latest_per_value as (

    select *
    from active
    qualify
        row_number() over (
            partition by customer_id, id_type, id_value
            order by kind = 'messages', last_seen_at desc, channel, kind
        ) = 1

),

final as (

    select
        customer_id,
        id_type,
        id_value,
        channel,
        row_number() over (
            partition by customer_id, id_type
            order by kind = 'messages', last_seen_at desc, id_value
        ) as preference,
        last_seen_at,
    from latest_per_value

)

select * from final
