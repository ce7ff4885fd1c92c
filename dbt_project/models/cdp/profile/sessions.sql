{%- set visitor_key = "coalesce('anonymous_id:' || anonymous_id, 'device_id:' || device_id, 'user_id:' || user_id)" %}
{{- config(meta={
    'in_parts_of': 'stg_events',
    'at_a_time': 'visits_at_a_time',
    'counted': visitor_key ~ ", date_trunc('hour', occurred_at)",
}) -}}

with

events as (

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

behaviours as (

    select
        event_id,
        node_key,
        channel,
        {{ visitor_key }} as visitor_key,
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
        and {{ in_part(visitor_key) }}

),

-- A tracker that numbers its visits knows best which events belong together, so its sessions are never joined.
attributed as (

    select
        behaviours.*,
        {{ hash_key(
            "concat_ws(' ', behaviours.channel, behaviours.visitor_key, behaviours.tracked_session_id)"
        ) }} as visit_key,
        coalesce(node_customers.customer_id, owned_events.customer_id) as customer_id,
    from behaviours
    left join node_customers
        on behaviours.node_key = node_customers.node_key
    left join owned_events
        on
            behaviours.channel = owned_events.channel
            and behaviours.event_id = owned_events.event_id
    where behaviours.visitor_key is not null

),

-- Time alone does not order events: two of one millisecond would make other sessions on each run.
compared as (

    select
        *,
        lag(occurred_at) over in_order as previous_at,
        lag(customer_id) over in_order as previous_customer_id,
    from attributed
    window
        in_order as (
            partition by visit_key
            order by occurred_at, event_id
        )

),

-- On a shared device the next person begins another visit, and what nobody can be held to is nobody's visit.
numbered as (

    select
        *,
        sum(
            case
                when previous_at is null then 1
                when occurred_at > previous_at + interval {{ var('session_timeout_minutes') }} minute then 1
                when customer_id is distinct from previous_customer_id then 1
                else 0
            end
        ) over ordered as session_number,
        row_number() over ordered as event_number,
    from compared
    window
        ordered as (
            partition by visit_key
            order by occurred_at, event_id
            rows between unbounded preceding and current row
        )

),

summed as (

    select
        channel,
        visitor_key,
        visit_key,
        session_number,
        arg_min(event_id, event_number) as first_event_id,
        customer_id,
        arg_min(platform, event_number) filter (where platform is not null) as platform,
        arg_min(site, event_number) filter (where site is not null) as site,
        arg_min(viewed_url, event_number) filter (where viewed_url is not null) as entry_url,
        arg_max(viewed_url, event_number) filter (where viewed_url is not null) as exit_url,
        {{ bare_url('arg_min(referrer, event_number) filter (where referrer is not null)') }} as entry_referrer,
        arg_min(campaign_source, event_number) filter (where campaign_source is not null) as campaign_source,
        arg_min(campaign_medium, event_number) filter (where campaign_medium is not null) as campaign_medium,
        arg_min(campaign_name, event_number) filter (where campaign_name is not null) as campaign_name,
        count(*) filter (where is_view) as page_views,
        count(*) as events,
        bool_or(is_order) as has_order_event,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        min(first_landed_on) as landed_on,
    from numbered
    group by all

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
        summed.entry_referrer,
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
