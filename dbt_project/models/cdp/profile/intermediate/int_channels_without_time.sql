{#-
    Channels that say the day and not the time: all their times are midnight. Midnight of a zone that is not UTC is one
    moment of the day of UTC, or two that are an hour apart where clocks are changed; a few rows may meet by chance.
-#}
with

orders as (

    select * from {{ ref('stg_orders') }}

),

interactions as (

    select * from {{ ref('stg_interactions') }}

),

messages as (

    select * from {{ ref('stg_messages') }}

),

united as (

    select
        channel,
        ordered_at as occurred_at,
    from orders

    union all

    select
        channel,
        occurred_at,
    from interactions

    union all

    select
        channel,
        occurred_at,
    from messages

),

counted as (

    select
        channel,
        extract(hour from occurred_at) * 60 + extract(minute from occurred_at) as minute_of_day,
        count(*) as times,
        bool_and(occurred_at = date_trunc('minute', occurred_at)) as is_full_minute,
    from united
    group by all

),

final as (

    select channel
    from counted
    group by channel
    having
        bool_and(is_full_minute)
        and count(*) <= 2
        and max(minute_of_day) - min(minute_of_day) in (0, 60, 23 * 60)
        and (max(minute_of_day) = 0 or sum(times) >= 20)

)

select * from final
