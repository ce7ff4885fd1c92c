with

edges as (

    select * from {{ ref('int_identity_edges') }}

),

events as (

    select * from {{ ref('stg_events') }}

),

node_customers as (

    select * from {{ ref('int_node_customers') }}

),

-- What resolve found with two customers: it ties nobody together, and says who it was only beside a log-in.
shared_devices as (

    select
        node_key,
        id_type,
        id_value,
    from edges
    where
        status = 'blocked'
        and starts_with(reason, 'shared')
        and id_type in ('{{ visitor_id_types() | join("', '") }}')

),

sightings as (

    select
        shared_devices.id_type,
        shared_devices.id_value,
        events.channel,
        events.event_id,
        node_customers.customer_id,
        events.occurred_at,
    from events
    inner join shared_devices
        on events.node_key = shared_devices.node_key
    left join node_customers
        on events.node_key = node_customers.node_key
    where
        events.is_owned_site
        and not events.is_bot

),

compared as (

    select
        *,
        lag(occurred_at) over so_far as previous_at,
        last_value(customer_id ignore nulls) over so_far as customer_before,
        max(case when customer_id is not null then occurred_at end) over so_far as identified_before,
        first_value(customer_id ignore nulls) over from_here as customer_after,
        min(case when customer_id is not null then occurred_at end) over from_here as identified_after,
    from sightings
    window
        so_far as (
            partition by id_type, id_value
            order by occurred_at, channel, event_id
            rows between unbounded preceding and current row
        ),
        from_here as (
            partition by id_type, id_value
            order by occurred_at, channel, event_id
            rows between current row and unbounded following
        )

),

numbered as (

    select
        *,
        sum(
            case
                when occurred_at <= previous_at + interval {{ var('session_timeout_minutes') }} minute then 0
                else 1
            end
        ) over (
            partition by id_type, id_value
            order by occurred_at, channel, event_id
            rows between unbounded preceding and current row
        ) as visit_number,
    from compared

),

visited as (

    select
        *,
        min(customer_id) over visit as first_customer_of_visit,
        max(customer_id) over visit as last_customer_of_visit,
    from numbered
    window visit as (partition by id_type, id_value, visit_number)

),

final as (

    select
        id_type,
        id_value,
        channel,
        event_id,
        customer_id,
        case
            when customer_id is not null then customer_id
            when first_customer_of_visit = last_customer_of_visit then first_customer_of_visit
            when
                customer_before = customer_after
                and identified_after
                <= identified_before + interval {{ var('shared_device_gap_days') }} day
                then customer_before
        end as owner_id,
        occurred_at,
    from visited

)

select * from final
