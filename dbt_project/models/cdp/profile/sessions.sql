{%- set identifier = "coalesce(anonymous_id, device_id, user_id)" %}
{%- set visitor_key = "coalesce('anonymous_id:' || anonymous_id, 'device_id:' || device_id, 'user_id:' || user_id)" %}
{{- config(meta={
    'in_parts_of': 'stg_events',
    'parted_by': identifier,
    'at_a_time': 'visits_at_a_time',
    'order': ['started_at', 'session_id'],
    'counted': identifier ~ ", date_trunc('hour', occurred_at)",
}) -}}

with

events as not materialized (

    select * from {{ ref('stg_events') }}

),

node_customers as (

    select
        *,
        {{ hash_key('customer_id') }} as customer_key,
    from {{ ref('int_node_customers') }}
    where kind = 'events'

),

owned_events as (

    select
        *,
        {{ hash_key('customer_id') }} as customer_key,
    from {{ ref('int_owned_events') }}

),

customer_orders as (

    select * from {{ ref('int_customer_orders') }}
    where
        is_valid
        and not is_store_order

),

-- A tracker that numbers its visits knows best which events belong together, so its sessions are never joined.
-- Of the two and a half million visits of a part, two have one key of 64 bits in one of six million parts.
behaviours as not materialized (

    select
        event_id,
        node_key,
        channel,
        {{ visitor_key }} as visitor_key,
        platform,
        site,
        type in ('page', 'screen') as is_view,
        type = 'track'
        and coalesce(
            regexp_matches(lower(trim(name)), '^(order|checkout)[ _-]?(completed|placed)$|^purchased?$'),
            false
        ) as is_order,
        case when type in ('page', 'screen') then {{ bare_url('url') }} end as viewed_url,
        referrer,
        campaign_source,
        campaign_medium,
        campaign_name,
        first_landed_on,
        occurred_at,
        {{ hash_of(['channel', visitor_key, 'session_id']) }} as visit_key,
        {{ place_in_time('occurred_at', 'event_id') }} as place,
    from events
    where
        is_owned_site
        and not is_bot
        and type in ('page', 'screen', 'track')
        and {{ identifier }} is not null
        and {{ in_part(identifier) }}
        -- The same once more of a column alone, for DuckDB then leaves the rest of a row unread.
        and (anonymous_id is null or ({{ in_part('anonymous_id') }}))

),

-- Where a visit begins is told by few numbers, and these are sorted. What its events say is looked up.
told as (

    select
        behaviours.visit_key,
        behaviours.place,
        behaviours.occurred_at,
        coalesce(node_customers.customer_key, owned_events.customer_key) as customer_key,
    from behaviours
    left join node_customers
        on behaviours.node_key = node_customers.node_key
    left join owned_events
        on
            behaviours.channel = owned_events.channel
            and behaviours.event_id = owned_events.event_id

),

compared as (

    select
        *,
        lag(occurred_at) over in_order as previous_at,
        lag(customer_key) over in_order as previous_customer_key,
    from told
    window
        in_order as (
            partition by visit_key
            order by place
        )

),

-- On a shared device the next person begins another visit, and what nobody can be held to is nobody's visit.
visits as (

    select
        visit_key,
        place as first_place,
        customer_key,
        coalesce(
            lead(place) over (
                partition by visit_key
                order by place
            ),
            {{ place_in_time("timestamp '9999-12-31'", "''") }}
        ) as next_place,
    from compared
    where
        previous_at is null
        or occurred_at > previous_at + interval {{ var('session_timeout_minutes') }} minute
        or customer_key is distinct from previous_customer_key

),

summed as (

    select
        visits.visit_key,
        visits.first_place,
        any_value(behaviours.channel) as channel,
        any_value(behaviours.visitor_key) as visitor_key,
        any_value(visits.customer_key) as customer_key,
        arg_min(behaviours.event_id, behaviours.place) as first_event_id,
        {%- for column in ['platform', 'site', 'referrer', 'campaign_source', 'campaign_medium', 'campaign_name'] %}
        arg_min(behaviours.{{ column }}, behaviours.place)
        filter (where behaviours.{{ column }} is not null) as {{ column }},
        {%- endfor %}
        arg_min(behaviours.viewed_url, behaviours.place)
        filter (where behaviours.viewed_url is not null) as entry_url,
        arg_max(behaviours.viewed_url, behaviours.place)
        filter (where behaviours.viewed_url is not null) as exit_url,
        count(*) filter (where behaviours.is_view) as page_views,
        count(*) as events,
        bool_or(behaviours.is_order) as has_order_event,
        min(behaviours.occurred_at) as started_at,
        max(behaviours.occurred_at) as ended_at,
        min(behaviours.first_landed_on) as landed_on,
    from behaviours
    inner join visits
        on
            behaviours.visit_key = visits.visit_key
            and behaviours.place >= visits.first_place
            and behaviours.place < visits.next_place
    group by
        visits.visit_key,
        visits.first_place

),

people as (

    select
        customer_key,
        customer_id,
    from node_customers

    union

    select
        customer_key,
        customer_id,
    from owned_events

),

attributed as (

    select
        summed.*,
        people.customer_id,
    from summed
    left join people
        on summed.customer_key = people.customer_key

),

-- A site that does not report orders as events still converts when the order itself falls into the visit.
sessions_with_orders as (

    select distinct
        attributed.channel,
        attributed.first_event_id,
    from attributed
    inner join customer_orders
        on
            attributed.customer_id = customer_orders.customer_id
            and attributed.started_at <= customer_orders.ordered_at
            and attributed.ended_at >= customer_orders.ordered_at

),

final as (

    select
        md5(attributed.channel || ':' || attributed.first_event_id) as session_id,
        attributed.customer_id,
        case
            when attributed.customer_id is null
                then
                    {{ visitor_id(
                        "split_part(attributed.visitor_key, ':', 1)",
                        "substr(attributed.visitor_key, strpos(attributed.visitor_key, ':') + 1)"
                    ) }}
        end as visitor_id,
        attributed.channel,
        attributed.platform,
        attributed.site,
        attributed.entry_url,
        attributed.exit_url,
        {{ bare_url('attributed.referrer') }} as entry_referrer,
        attributed.campaign_source,
        attributed.campaign_medium,
        attributed.campaign_name,
        attributed.page_views,
        attributed.events,
        attributed.has_order_event or sessions_with_orders.first_event_id is not null as converted,
        attributed.landed_on,
        attributed.started_at,
        attributed.ended_at,
    from attributed
    left join sessions_with_orders
        on
            attributed.channel = sessions_with_orders.channel
            and attributed.first_event_id = sessions_with_orders.first_event_id

)

select * from final
