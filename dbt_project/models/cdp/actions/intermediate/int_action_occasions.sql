{#- What a customer's last days ask for: help, a basket left behind, and what has just made others buy. -#}
with

timeline as not materialized (

    select * from {{ ref('customer_timeline') }}
    where occurred_at < {{ end_of_day() }}

),

interactions as (

    select * from {{ ref('stg_interactions') }}
    where occurred_at < {{ end_of_day() }}

),

node_customers as (

    select * from {{ ref('int_node_customers') }}

),

products as (

    select * from {{ ref('int_products') }}

),

last_contacts as (

    select
        node_customers.customer_id,
        interactions.reason,
        interactions.occurred_at,
    from interactions
    inner join node_customers
        on interactions.node_key = node_customers.node_key
    where interactions.occurred_at >= {{ end_of_day() }} - interval {{ var('action_service_days') }} day
    qualify
        row_number() over (
            partition by node_customers.customer_id
            order by interactions.occurred_at desc, interactions.channel desc, interactions.interaction_id desc
        ) = 1
        and {{ is_unresolved('interactions.outcome') }}

),

last_purchases as (

    select
        customer_id,
        max(occurred_at) as purchased_at,
    from timeline
    where activity = 'purchase'
    group by customer_id

),

-- What was put into a basket since the last purchase and at least an hour ago: the visit is over.
left_behind as (

    select
        timeline.customer_id,
        timeline.product_id,
        timeline.category,
        timeline.occurred_at,
    from timeline
    left join last_purchases
        on timeline.customer_id = last_purchases.customer_id
    where
        timeline.activity in ('product_added', 'add_to_cart', 'added_to_cart')
        and timeline.product_id is not null
        and timeline.occurred_at >= {{ end_of_day() }} - interval {{ var('action_cart_days') }} day
        and timeline.occurred_at < {{ end_of_day() }} - interval 1 hour
        and coalesce(last_purchases.purchased_at < timeline.occurred_at, true)
    qualify
        row_number() over (
            partition by timeline.customer_id
            order by timeline.occurred_at desc, timeline.product_id
        ) = 1

),

messages as (

    select
        customer_id,
        count(*) as messages_sent,
    from timeline
    where
        ends_with(activity, '_sent')
        and occurred_at >= {{ end_of_day() }} - interval {{ var('action_fatigue_days') }} day
    group by customer_id

),

customers as (

    select customer_id
    from {{ ref('customers') }}

),

final as (

    select
        customers.customer_id,
        last_contacts.reason as open_issue,
        left_behind.product_id as cart_product_id,
        products.product_name as cart_product_name,
        coalesce(left_behind.category, products.category) as cart_category,
        coalesce(messages.messages_sent, 0) as messages_sent,
        last_contacts.customer_id is not null as has_open_issue,
        left_behind.customer_id is not null as has_abandoned_cart,
    from customers
    left join last_contacts
        on customers.customer_id = last_contacts.customer_id
    left join left_behind
        on customers.customer_id = left_behind.customer_id
    left join products
        on left_behind.product_id = products.product_id
    left join messages
        on customers.customer_id = messages.customer_id

)

select * from final
