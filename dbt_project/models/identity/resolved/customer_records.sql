with

node_customers as (

    select * from {{ ref('int_node_customers') }}

),

final as (

    select
        channel,
        record_id,
        customer_id,
        exact_id,
        loose_id,
        tier,
        linked_by,
        first_seen_at,
        last_seen_at,
    from node_customers
    where kind = 'customers'

)

select * from final
