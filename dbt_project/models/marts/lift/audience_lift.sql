-- Whoever entered counts, in the group of their first day: a control group of those who are still in would leave out
-- whom the audience was for. Sums are of decimals and whole numbers, so that their order does not matter.

with

changes as (

    select * from {{ ref('audience_changes') }}
    where
        change = 'entered'
        and is_control is not null
        and changed_date < {{ as_of_date() }}

),

known_visitors as (

    select * from {{ ref('int_known_visitors') }}

),

orders as (

    select * from {{ ref('customer_orders') }}

),

people as (

    select
        changes.audience_id,
        changes.side,
        changes.source,
        coalesce(known_visitors.customer_id, changes.member_id) as person_id,
        bool_or(changes.is_control) as is_control,
        min(changes.changed_date) as entered_date,
    from changes
    left join known_visitors
        on changes.member_id = known_visitors.visitor_id
    group by
        changes.audience_id,
        changes.side,
        changes.source,
        coalesce(known_visitors.customer_id, changes.member_id)
    -- Who turned out to be somebody else's device may have changed groups: they are of neither.
    having count(distinct changes.is_control) = 1

),

outcomes as (

    select
        people.audience_id,
        people.side,
        people.source,
        people.person_id,
        people.is_control,
        date_diff('day', people.entered_date, {{ as_of_date() }}) as days,
        count(orders.order_id) as orders,
        coalesce(sum(orders.total_amount), 0) as spend,
    from people
    left join orders
        on
            people.person_id = orders.customer_id
            and orders.ordered_at >= cast(people.entered_date + interval 1 day as timestamp)
    group by
        people.audience_id,
        people.side,
        people.source,
        people.person_id,
        people.is_control,
        people.entered_date

),

measures as (

    select
        audience_id,
        side,
        source,
        is_control,
        days,
        unnest([
            {'outcome': 'buyers', 'value': cast(least(orders, 1) as decimal(18, 4))},
            {'outcome': 'orders', 'value': cast(orders as decimal(18, 4))},
            {'outcome': 'spend', 'value': cast(spend as decimal(18, 4))},
        ]) as measure,
    from outcomes

),

measured as (

    select
        audience_id,
        side,
        source,
        is_control,
        days,
        measure.outcome as outcome,
        measure.value as value,
    from measures

),

summed as (

    select
        audience_id,
        side,
        source,
        outcome,
        count(*) filter (where not is_control) as treated,
        count(*) filter (where is_control) as control,
        cast(sum(value) filter (where not is_control) as double) as treated_sum,
        cast(sum(value) filter (where is_control) as double) as control_sum,
        -- Of two decimals of 18 digits the product has 18 as well, of larger ones 38.
        cast(sum(cast(value as decimal(19, 4)) * value) filter (where not is_control) as double) as treated_squares,
        cast(sum(cast(value as decimal(19, 4)) * value) filter (where is_control) as double) as control_squares,
        sum(days) / count(*) as mean_days,
    from measured
    group by audience_id, side, source, outcome

),

averaged as (

    select
        *,
        treated_sum / nullif(treated, 0) as treated_mean,
        control_sum / nullif(control, 0) as control_mean,
        sqrt(
            greatest(treated_squares - treated_sum * treated_sum / treated, 0) / nullif(treated - 1, 0) / treated
            + greatest(control_squares - control_sum * control_sum / control, 0) / nullif(control - 1, 0) / control
        ) as standard_error,
        side = 'dmp' and least(treated, control) < {{ var('minimum_cell') }} as is_suppressed,
    from summed

),

final as (

    select
        audience_id,
        side,
        source,
        outcome,
        treated,
        control,
        case when not is_suppressed then treated_mean end as treated_mean,
        case when not is_suppressed then control_mean end as control_mean,
        case when not is_suppressed then treated_mean - control_mean end as lift,
        case when not is_suppressed then treated_mean - control_mean - 1.96 * standard_error end as low,
        case when not is_suppressed then treated_mean - control_mean + 1.96 * standard_error end as high,
        case when not is_suppressed then treated_mean / nullif(control_mean, 0) - 1 end as relative_lift,
        mean_days,
        list_contains({{ sent_audiences() }}, audience_id) as is_sent,
        is_suppressed,
        {{ as_of_date() }} as as_of_date,
    from averaged

)

select * from final
