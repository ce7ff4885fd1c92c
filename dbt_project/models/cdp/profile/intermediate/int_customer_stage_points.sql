{%- set default_gap = var('lifecycle_default_gap_days') -%}
{%- set weight = var('lifecycle_default_gap_weight') -%}

with

customer_orders as (

    select * from {{ ref('int_customer_orders') }}
    where
        is_valid
        and ordered_at < {{ end_of_day() }}

),

-- Orders of one moment are one step: nobody can say which came first.
moments as (

    select
        customer_id,
        ordered_at,
        count(*) as orders_then,
    from customer_orders
    group by all

),

-- Several orders on a day do not make a rhythm: only days apart are a gap.
paused as (

    select
        *,
        nullif(date_diff('day', lag(ordered_at) over in_order, ordered_at), 0) as gap_days,
        lead(ordered_at) over in_order as next_ordered_at,
    from moments
    window in_order as (partition by customer_id order by ordered_at)

),

counted as (

    select
        customer_id,
        ordered_at,
        next_ordered_at,
        orders_then,
        cast(sum(orders_then) over so_far as bigint) as orders,
        count(gap_days) over so_far as gaps,
        sum(least(gap_days, {{ var('lifecycle_lapsed_after') * default_gap }})) filter (
            where gap_days is not null
        ) over so_far as gap_days_so_far,
    from paused
    window so_far as (
        partition by customer_id
        order by ordered_at
        rows between unbounded preceding and current row
    )

),

-- The default counts among the customer's own gaps, so that no single one of them decides.
paced as (

    select
        * exclude (gaps, gap_days_so_far),
        greatest(
            cast({{ weight * default_gap }} + coalesce(gap_days_so_far, 0) as double) / ({{ weight }} + gaps),
            {{ var('lifecycle_minimum_gap_days') }}
        ) as rhythm_days,
    from counted

),

timed as (

    select
        *,
        {{ silent_since('ordered_at', 'rhythm_days', var('lifecycle_at_risk_after')) }} as at_risk_at,
        {{ silent_since('ordered_at', 'rhythm_days', var('lifecycle_lapsed_after')) }} as lapsed_at,
    from paced

),

returned as (

    select
        *,
        coalesce(lag(lapsed_at) over in_order < ordered_at, false) as is_return,
    from timed
    window in_order as (partition by customer_id order by ordered_at)

),

final as (

    select
        customer_id,
        orders,
        orders - max(case when is_return then orders - orders_then end) over (
            partition by customer_id
            order by ordered_at
            rows between unbounded preceding and current row
        ) as orders_since_return,
        rhythm_days,
        ordered_at,
        next_ordered_at,
        at_risk_at,
        lapsed_at,
    from returned

)

select * from final
