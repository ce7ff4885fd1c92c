with

customer_orders as (

    select * from {{ ref('int_customer_orders') }}
    where is_valid

),

final as (

    select
        customer_id,
        order_id,
        channel,
        is_store_order,
        cast(total_amount as decimal(18, 4)) as total_amount,
        ordered_at,
    from customer_orders

)

select * from final
