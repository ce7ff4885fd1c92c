{%- set identifier = "coalesce(anonymous_id, device_id, user_id)" %}
{{- config(meta={
    'in_parts_of': 'stg_events',
    'parted_by': identifier,
    'at_a_time': 'visits_at_a_time',
    'counted': identifier ~ ", date_trunc('hour', occurred_at)",
}) -}}

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

customer_orders as (

    select * from {{ ref('int_customer_orders') }}
    where
        is_valid
        and not is_store_order

),

behaviours as not materialized (

    select
        event_id,
        node_key,
        channel,
        coalesce('anonymous_id:' || anonymous_id, 'device_id:' || device_id, 'user_id:' || user_id) as visitor_key,
        session_id as tracked_session_id,
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
    from events
    where
        is_owned_site
        and not is_bot
        and type in ('page', 'screen', 'track')
        and {{ identifier }} is not null
        and {{ in_part(identifier) }}

),

-- A tracker that numbers its visits knows best which events belong together, so its sessions are never joined.
attributed as not materialized (

    select
        behaviours.*,
        {{ hash_key(
            "concat_ws(' ', behaviours.channel, behaviours.visitor_key, behaviours.tracked_session_id)"
        ) }} as visit_key,
        {{ place_in_time('behaviours.occurred_at', 'behaviours.event_id') }} as place,
        coalesce(node_customers.customer_id, owned_events.customer_id) as customer_id,
    from behaviours
    left join node_customers
        on behaviours.node_key = node_customers.node_key
    left join owned_events
        on
            behaviours.channel = owned_events.channel
            and behaviours.event_id = owned_events.event_id

),

-- Where a visit begins is told by few numbers, and these are sorted. What its events say is looked up.
told as (

    select
        visit_key,
        place,
        occurred_at,
        {{ hash_of(['customer_id']) }} as customer_key,
    from attributed

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
        any_value(attributed.channel) as channel,
        any_value(attributed.visitor_key) as visitor_key,
        any_value(attributed.customer_id) as customer_id,
        arg_min(attributed.event_id, attributed.place) as first_event_id,
        {%- for column in ['platform', 'site', 'referrer', 'campaign_source', 'campaign_medium', 'campaign_name'] %}
        arg_min(attributed.{{ column }}, attributed.place)
        filter (where attributed.{{ column }} is not null) as {{ column }},
        {%- endfor %}
        arg_min(attributed.viewed_url, attributed.place)
        filter (where attributed.viewed_url is not null) as entry_url,
        arg_max(attributed.viewed_url, attributed.place)
        filter (where attributed.viewed_url is not null) as exit_url,
        count(*) filter (where attributed.is_view) as page_views,
        count(*) as events,
        bool_or(attributed.is_order) as has_order_event,
        min(attributed.occurred_at) as started_at,
        max(attributed.occurred_at) as ended_at,
        min(attributed.first_landed_on) as landed_on,
    from attributed
    inner join visits
        on
            attributed.visit_key = visits.visit_key
            and attributed.place >= visits.first_place
            and attributed.place < visits.next_place
    group by
        visits.visit_key,
        visits.first_place

),

-- A site that does not report orders as events still converts when the order itself falls into the visit.
sessions_with_orders as (

    select distinct
        summed.channel,
        summed.first_event_id,
    from summed
    inner join customer_orders
        on
            summed.customer_id = customer_orders.customer_id
            and summed.started_at <= customer_orders.ordered_at
            and summed.ended_at >= customer_orders.ordered_at

),

final as (

    select
        md5(summed.channel || ':' || summed.first_event_id) as session_id,
        summed.customer_id,
        case
            when summed.customer_id is null
                then
                    {{ visitor_id(
                        "split_part(summed.visitor_key, ':', 1)",
                        "substr(summed.visitor_key, strpos(summed.visitor_key, ':') + 1)"
                    ) }}
        end as visitor_id,
        summed.channel,
        summed.platform,
        summed.site,
        summed.entry_url,
        summed.exit_url,
        {{ bare_url('summed.referrer') }} as entry_referrer,
        summed.campaign_source,
        summed.campaign_medium,
        summed.campaign_name,
        summed.page_views,
        summed.events,
        summed.has_order_event or sessions_with_orders.first_event_id is not null as converted,
        summed.landed_on,
        summed.started_at,
        summed.ended_at,
    from summed
    left join sessions_with_orders
        on
            summed.channel = sessions_with_orders.channel
            and summed.first_event_id = sessions_with_orders.first_event_id

)

select * from final
