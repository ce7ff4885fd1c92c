{%- set sales_channel = var('offsite_sales_channel', 'any') -%}
-- What matched persons bought, by day. A company whose orders have no lines, or no categories, buys one thing: orders.

with

person_visitors as (

    select * from {{ ref('int_person_visitors') }}

),

customer_orders as (

    select *
    from {{ ref('int_customer_orders') }}
    where
        is_valid
        and ordered_at < {{ end_of_day() }}
        and {{ {'any': 'true', 'store': 'is_store_order'}.get(sales_channel, 'not is_store_order') }}

),

customer_order_lines as (

    select
        order_lines.customer_id,
        order_lines.category,
        order_lines.ordered_at,
    from {{ ref('int_customer_order_lines') }} as order_lines
    {%- if sales_channel != 'any' %}
    inner join customer_orders
        on
            order_lines.order_id = customer_orders.order_id
            and order_lines.channel = customer_orders.channel
    {%- endif %}
    where
        order_lines.is_valid
        and order_lines.category is not null
        and order_lines.ordered_at < {{ end_of_day() }}

),

persons as (

    select distinct customer_id
    from person_visitors

),

beginning as (

    select cast(min(ordered_at) as date) as first_ordered_on
    from customer_orders

),

bought as (

    select
        customer_id,
        category,
        cast(ordered_at as date) as purchased_on,
    from customer_order_lines

    union all

    select
        customer_id,
        '(all)' as category,
        cast(ordered_at as date) as purchased_on,
    from customer_orders
    where not exists (select 1 from customer_order_lines)

),

-- Before the pause that makes a purchase a fresh one nothing matters.
purchases as (

    select distinct
        bought.customer_id,
        bought.category,
        bought.purchased_on,
    from bought
    inner join persons
        on bought.customer_id = persons.customer_id
    where bought.purchased_on > {{ as_of_date() }} - {{ var('event_days', 60) + var('offsite_pause_days', 60) }}

),

final as (

    select
        purchases.customer_id,
        purchases.category,
        purchases.purchased_on,
        date_diff('day', beginning.first_ordered_on, purchases.purchased_on) >= {{ var('offsite_pause_days', 60) }}
        and coalesce(
            date_diff(
                'day',
                lag(purchases.purchased_on) over (
                    partition by purchases.customer_id, purchases.category
                    order by purchases.purchased_on
                ),
                purchases.purchased_on
            ) > {{ var('offsite_pause_days', 60) }},
            true
        ) as is_fresh,
    from purchases
    cross join beginning

)

select * from final
