{{ config(meta={'in_parts_of': 'int_customer_events', 'at_a_time': 'activities_at_a_time'}) }}

with

customer_orders as (

    select * from {{ ref('int_customer_orders') }}
    where {{ in_part('customer_id') }}

),

customer_order_lines as (

    select * from {{ ref('int_customer_order_lines') }}
    where {{ in_part('customer_id') }}

),

customer_events as (

    select * from {{ ref('int_customer_events') }}
    where {{ in_part('customer_id') }}

),

interactions as (

    select * from {{ ref('stg_interactions') }}

),

messages as (

    select * from {{ ref('stg_messages') }}

),

consents as (

    select * from {{ ref('stg_consents') }}
    where effective_at < {{ end_of_day() }}

),

node_customers as (

    select * from {{ ref('int_node_customers') }}
    where {{ in_part('customer_id') }}

),

customer_identifiers as (

    select * from {{ ref('customer_identifiers') }}
    where {{ in_part('customer_id') }}

),

channels_without_time as (

    select * from {{ ref('int_channels_without_time') }}

),

-- From after the moment of its entry to that of the next one's: a customer has few, so that a hash join finds the one
-- of an activity for less than sorting all activities. The first reaches back to whatever came first; before a customer
-- who begins with an order was a lead.
stages as (

    select
        customer_id,
        stage,
        entered_at,
        coalesce(left_at, cast('9999-12-31' as timestamp)) as until,
    from {{ ref('customer_stages') }}
    where {{ in_part('customer_id') }}

    union all

    select
        customer_id,
        case when orders = 0 then stage else 'lead' end as stage,
        cast('0001-01-01' as timestamp) as entered_at,
        entered_at as until,
    from {{ ref('customer_stages') }}
    where
        stage_number = 1
        and {{ in_part('customer_id') }}

),

purchases_by_line as (

    select
        'order_lines:' || line_channel || ':' || order_id || ':' || line_number as timeline_key,
        customer_id,
        ordered_at as occurred_at,
        channel,
        case when is_valid then 'purchase' else 'cancelled_purchase' end as activity,
        order_id,
        product_id,
        category,
        cast(null as varchar) as content_category,
        cast(null as varchar) as outcome,
        'orders' as kind,
        amount,
    from customer_order_lines

),

purchases_without_lines as (

    select
        'orders:' || channel || ':' || order_id as timeline_key,
        customer_id,
        ordered_at as occurred_at,
        channel,
        case when is_valid then 'purchase' else 'cancelled_purchase' end as activity,
        order_id,
        cast(null as varchar) as product_id,
        cast(null as varchar) as category,
        cast(null as varchar) as content_category,
        cast(null as varchar) as outcome,
        'orders' as kind,
        total_amount as amount,
    from customer_orders
    anti join customer_order_lines
        on
            customer_orders.order_id = customer_order_lines.order_id
            and customer_orders.channel = customer_order_lines.channel

),

contacts as (

    select
        'interactions:' || interactions.channel || ':' || interactions.interaction_id as timeline_key,
        node_customers.customer_id,
        interactions.occurred_at,
        interactions.channel,
        coalesce(lower(interactions.type), 'contact') as activity,
        cast(null as varchar) as order_id,
        cast(null as varchar) as product_id,
        interactions.reason as category,
        cast(null as varchar) as content_category,
        interactions.outcome,
        'interactions' as kind,
        cast(null as decimal(18, 4)) as amount,
    from interactions
    inner join node_customers
        on interactions.node_key = node_customers.node_key

),

message_actions as (

    select
        'messages:' || messages.channel || ':' || messages.message_id || ':' || messages.action || ':'
        || messages.occurred_at as timeline_key,
        node_customers.customer_id,
        messages.occurred_at,
        messages.channel,
        coalesce(lower(messages.medium), 'message') || '_' || messages.action as activity,
        cast(null as varchar) as order_id,
        cast(null as varchar) as product_id,
        messages.campaign_id as category,
        cast(null as varchar) as content_category,
        cast(null as varchar) as outcome,
        'messages' as kind,
        cast(null as decimal(18, 4)) as amount,
    from messages
    inner join node_customers
        on messages.node_key = node_customers.node_key

),

-- A statement is of an identifier: whoever claims it has made it.
consent_statements as (

    select
        'consents:' || consents.channel || ':' || consents.id_type || ':' || consents.id_value || ':'
        || consents.purpose || ':' || consents.effective_at || ':' || customer_identifiers.customer_id as timeline_key,
        customer_identifiers.customer_id,
        consents.effective_at as occurred_at,
        consents.channel,
        'consent_' || consents.status as activity,
        cast(null as varchar) as order_id,
        cast(null as varchar) as product_id,
        consents.purpose as category,
        cast(null as varchar) as content_category,
        cast(null as varchar) as outcome,
        'consents' as kind,
        cast(null as decimal(18, 4)) as amount,
    from consents
    inner join customer_identifiers
        on
            consents.id_type = customer_identifiers.id_type
            and consents.id_value = customer_identifiers.id_value

),

-- What an order is worth stands on the purchase; an event that reports the same order carries no amount.
behaviours as (

    select
        'events:' || channel || ':' || event_id as timeline_key,
        customer_id,
        occurred_at,
        channel,
        activity,
        order_id,
        product_id,
        category,
        content_category,
        cast(null as varchar) as outcome,
        'events' as kind,
        cast(null as decimal(18, 4)) as amount,
    from customer_events

),

united as (

    select * from purchases_by_line

    union all

    select * from purchases_without_lines

    union all

    select * from contacts

    union all

    select * from message_actions

    union all

    select * from consent_statements

    union all

    select * from behaviours

),

final as (

    select
        md5(united.timeline_key) as timeline_id,
        united.customer_id,
        united.channel,
        united.activity,
        united.order_id,
        united.product_id,
        united.category,
        united.content_category,
        united.outcome,
        united.kind,
        stages.stage,
        cast(united.amount as decimal(18, 4)) as amount,
        united.occurred_at,
        channels_without_time.channel is null as has_time_of_day,
    from united
    left join stages
        on
            united.customer_id = stages.customer_id
            and united.occurred_at > stages.entered_at
            and united.occurred_at <= stages.until
    left join channels_without_time
        on united.channel = channels_without_time.channel

)

select * from final
