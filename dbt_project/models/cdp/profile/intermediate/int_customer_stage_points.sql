with

customer_orders as (

    select * from {{ ref('int_customer_orders') }}
    where is_valid

),

numbered as (

    select
        customer_id,
        ordered_at,
        count(*) over so_far as orders,
        min(ordered_at) over so_far as first_ordered_at,
    from customer_orders
    window so_far as (partition by customer_id order by ordered_at)

),

-- A window over equal times holds all of them, so orders of one moment have the same numbers and become one row.
final as (

    select distinct
        customer_id,
        ordered_at,
        orders,
        date_diff('day', first_ordered_at, ordered_at) / nullif(orders - 1, 0) as average_gap_days,
    from numbered

)

select * from final
