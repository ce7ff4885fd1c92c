with

events as not materialized (

    select * from {{ ref('stg_events') }}

),

node_customers as (

    select * from {{ ref('int_node_customers') }}
    where kind = 'events'

),

owned_events as (

    select * from {{ ref('int_owned_events') }}

),

products as (

    select * from {{ ref('int_products') }}

),

{{ channel_starts_of('events') }},

-- What an event says is read out of those of known customers only. Of three conditions DuckDB expects one event in a
-- hundred to be left, and would keep all of them in memory to look them up; of one it expects one in five.
attributed as (

    select
        events.*,
        coalesce(node_customers.customer_id, owned_events.customer_id) as customer_id,
    from events
    left join node_customers
        on events.node_key = node_customers.node_key
    left join owned_events
        on
            events.channel = owned_events.channel
            and events.event_id = owned_events.event_id
    where
        case when events.is_owned_site and not events.is_bot then events.type in ('page', 'screen', 'track') end
        and coalesce(node_customers.customer_id, owned_events.customer_id) is not null

),

named as (

    select
        event_id,
        customer_id,
        channel,
        platform,
        first_landed_on,
        coalesce(received_at, occurred_at) as received_at,
        case type
            when 'page' then 'page_viewed'
            when 'screen' then 'screen_viewed'
            else coalesce(nullif(regexp_replace(lower(trim(name)), '[^a-z0-9]+', '_', 'g'), ''), 'tracked')
        end as activity,
        json_extract_string(properties, '$.order_id') as order_id,
        json_extract_string(properties, '$.product_id') as product_id,
        json_extract_string(properties, '$.category') as event_category,
        content_category,
        occurred_at,
    from attributed

),

final as (

    select
        named.event_id,
        named.customer_id,
        named.channel,
        named.activity,
        named.order_id,
        named.product_id,
        coalesce(products.category, named.event_category) as category,
        named.content_category,
        named.platform,
        named.occurred_at,
        {{ known_on('named', 'named.received_at') }} as known_on,
    from named
    left join channel_starts
        on named.channel = channel_starts.channel
    left join products
        on named.product_id = products.product_id

)

select * from final
