with

orders as (

    select * from {{ ref('stg_orders') }}

    union all by name

    select * from {{ ref('stg_event_orders') }}

),

order_lines as (

    select * from {{ ref('stg_order_lines') }}

    union all by name

    select * from {{ ref('stg_event_order_lines') }}

),

node_customers as (

    select * from {{ ref('int_node_customers') }}

),

channels_without_time as (

    select * from {{ ref('int_channels_without_time') }}

),

line_totals as (

    select
        order_id,
        sum(amount) as lines_amount,
        count(*) as line_count,
    from order_lines
    group by all

),

final as (

    select
        orders.order_id,
        node_customers.customer_id,
        orders.channel,
        orders.status,
        orders.currency,
        orders.coupon,
        coalesce(orders.total, line_totals.lines_amount, 0) as total_amount,
        coalesce(orders.discount, 0) as discount_amount,
        coalesce(line_totals.line_count, 0) as line_count,
        orders.is_valid,
        {{ is_store_order('orders') }} as is_store_order,
        channels_without_time.channel is null as has_time_of_day,
        orders.ordered_at,
    from orders
    inner join node_customers
        on orders.node_key = node_customers.node_key
    left join line_totals
        on orders.order_id = line_totals.order_id
    left join channels_without_time
        on orders.channel = channels_without_time.channel

)

select * from final
