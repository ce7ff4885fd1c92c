with

customer_orders as (

    select * from {{ ref('int_customer_orders') }}

),

order_lines as (

    select * from {{ ref('stg_order_lines') }}

    union all by name

    select * exclude (product_name, brand, category) from {{ ref('stg_event_order_lines') }}

),

products as (

    select * from {{ ref('int_products') }}

),

-- An order id that two channels use cannot say whose the lines are: they go with the first channel by name.
owners as (

    select
        order_id,
        customer_id,
        channel,
        is_valid,
        ordered_at,
    from customer_orders
    qualify row_number() over (partition by order_id order by channel) = 1

),

final as (

    select
        order_lines.order_id,
        order_lines.line_number,
        order_lines.channel as line_channel,
        owners.customer_id,
        owners.channel,
        order_lines.product_id,
        products.category,
        order_lines.quantity,
        order_lines.amount,
        owners.is_valid,
        owners.ordered_at,
    from order_lines
    inner join owners
        on order_lines.order_id = owners.order_id
    left join products
        on order_lines.product_id = products.product_id

)

select * from final
