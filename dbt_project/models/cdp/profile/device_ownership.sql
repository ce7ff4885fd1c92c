with

device_events as (

    select * from {{ ref('int_device_events') }}

),

compared as (

    select
        *,
        lag(owner_id) over in_order as previous_owner_id,
        lag(occurred_at) over in_order as previous_at,
    from device_events
    window
        in_order as (
            partition by id_type, id_value
            order by occurred_at, channel, event_id
        )

),

-- An event of nobody ends the interval before it, and so does a pause in which anybody may have had the device.
owned as (

    select
        *,
        sum(
            case
                when
                    owner_id = previous_owner_id
                    and occurred_at <= previous_at + interval {{ var('shared_device_gap_days') }} day
                    then 0
                else 1
            end
        ) over (
            partition by id_type, id_value
            order by occurred_at, channel, event_id
            rows between unbounded preceding and current row
        ) as owner_number,
    from compared
    where owner_id is not null

),

intervals as (

    select
        id_type,
        id_value,
        owner_number,
        owner_id as customer_id,
        count(customer_id) as identified_events,
        count(*) - count(customer_id) as anonymous_events,
        min(occurred_at) as owned_from,
        max(occurred_at) as owned_until,
    from owned
    group by all

),

final as (

    select
        id_type,
        id_value,
        cast(
            row_number() over (partition by id_type, id_value order by owner_number) as bigint
        ) as interval_number,
        customer_id,
        identified_events,
        anonymous_events,
        owned_from,
        owned_until,
    from intervals

)

select * from final
