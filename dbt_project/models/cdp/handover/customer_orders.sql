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
        currency,
        coupon,
        total_amount,
        discount_amount,
        line_count,
        is_store_order,
        ordered_at,
    from customer_orders
    where ordered_at < {{ end_of_day() }}

)

select * from final
