{#-
    The share that has moved by a time is the cumulative incidence of Aalen and Johansen (1978): stays that still go on
    count for as long as they are watched. Its variance is that of Marubini and Valsecchi (1995, 10.12), and the
    interval is Wilson's (1927) for as many stays as would have that variance had all been watched to the end.
-#}
{%- set z = 1.959964 -%}

with

-- Only a visitor who became known is a customer: of those who never did, nobody is here to be counted.
customer_stages as (

    select * from {{ ref('customer_stages') }}
    where stage <> 'visitor'

),

stays as (

    select
        customer_id,
        stage as from_stage,
        lead(stage) over (partition by customer_id order by stage_number) as to_stage,
        days_in_stage,
        substr(cast(entered_at as varchar), 1, 7) as entered_month,
    from customer_stages

),

in_periods as (

    select
        *,
        'all' as period,
    from stays

    union all

    select
        *,
        entered_month as period,
    from stays

),

periods as (

    select
        from_stage,
        period,
        count(*) as entered,
        count(*) filter (where to_stage is null) as still_there,
        max(days_in_stage) as longest_days,
    from in_periods
    group by from_stage, period
    having count(*) >= {{ var('lifecycle_minimum_support') }}

),

days as (

    select
        from_stage,
        period,
        days_in_stage,
        count(*) as stays,
        count(to_stage) as moved,
    from in_periods
    group by from_stage, period, days_in_stage

),

watched as (

    select
        *,
        cast(sum(stays) over (partition by from_stage, period order by days_in_stage desc) as double) as at_risk,
    from days

),

-- The share that is still there just before a day (Kaplan and Meier 1958).
remaining as (

    select
        *,
        coalesce(exp(sum(ln(greatest(1 - moved / at_risk, 1e-300))) over (
            partition by from_stage, period
            order by days_in_stage
            rows between unbounded preceding and 1 preceding
        )), 1) as still_there,
    from watched

),

moves as (

    select
        from_stage,
        period,
        to_stage,
        days_in_stage,
        count(*) as moved,
    from in_periods
    where to_stage is not null
    group by from_stage, period, to_stage, days_in_stage

),

medians as (

    select
        from_stage,
        period,
        to_stage,
        median(days_in_stage) as median_days,
    from in_periods
    where to_stage is not null
    group by from_stage, period, to_stage

),

-- Every move on every day on which somebody moves anywhere.
stepped as (

    select
        medians.from_stage,
        medians.period,
        medians.to_stage,
        remaining.days_in_stage,
        remaining.at_risk,
        remaining.moved as moved_anywhere,
        remaining.still_there,
        coalesce(moves.moved, 0) as moved,
    from medians
    inner join periods
        on
            medians.from_stage = periods.from_stage
            and medians.period = periods.period
    inner join remaining
        on
            medians.from_stage = remaining.from_stage
            and medians.period = remaining.period
    left join moves
        on
            medians.from_stage = moves.from_stage
            and medians.period = moves.period
            and medians.to_stage = moves.to_stage
            and remaining.days_in_stage = moves.days_in_stage
    where remaining.moved > 0

),

accumulated as (

    select
        *,
        sum(still_there * moved / at_risk) over (
            partition by from_stage, period, to_stage
            order by days_in_stage
        ) as share_so_far,
    from stepped

),

horizons as (

    select horizons.within_days
    from (values (28), (90), (365)) as horizons (within_days)

),

shares as (

    select
        accumulated.from_stage,
        accumulated.period,
        accumulated.to_stage,
        horizons.within_days,
        max(accumulated.share_so_far) as share,
        sum(accumulated.moved) as moved,
    from accumulated
    inner join horizons
        on accumulated.days_in_stage <= horizons.within_days
    group by
        accumulated.from_stage,
        accumulated.period,
        accumulated.to_stage,
        horizons.within_days

),

variances as (

    select
        shares.from_stage,
        shares.period,
        shares.to_stage,
        shares.within_days,
        sum(
            coalesce(
                power(shares.share - accumulated.share_so_far, 2) * accumulated.moved_anywhere
                / nullif(accumulated.at_risk * (accumulated.at_risk - accumulated.moved_anywhere), 0),
                0
            )
            + power(accumulated.still_there, 2) * accumulated.moved * (accumulated.at_risk - accumulated.moved)
            / power(accumulated.at_risk, 3)
            - 2 * (shares.share - accumulated.share_so_far) * accumulated.still_there * accumulated.moved
            / power(accumulated.at_risk, 2)
        ) as variance,
    from shares
    inner join accumulated
        on
            shares.from_stage = accumulated.from_stage
            and shares.period = accumulated.period
            and shares.to_stage = accumulated.to_stage
            and shares.within_days >= accumulated.days_in_stage
    group by
        shares.from_stage,
        shares.period,
        shares.to_stage,
        shares.within_days

),

measured as (

    select
        medians.from_stage,
        medians.to_stage,
        medians.period,
        horizons.within_days,
        periods.entered,
        periods.still_there,
        medians.median_days,
        -- Nothing is known of a time that nobody has been watched for, unless nobody is left to wait for.
        periods.longest_days >= horizons.within_days or periods.still_there = 0 as is_known,
        coalesce(shares.moved, 0) as moved,
        coalesce(shares.share, 0) as share,
        -- A share of nobody or of all has no variance but what numbers are rounded by: all who entered speak for it.
        coalesce(
            least(
                nullif(greatest(shares.share * (1 - shares.share), 0), 0)
                / nullif(greatest(variances.variance, 0), 0),
                periods.entered
            ),
            periods.entered
        ) as stays_like_it,
    from medians
    inner join periods
        on
            medians.from_stage = periods.from_stage
            and medians.period = periods.period
    cross join horizons
    left join shares
        on
            medians.from_stage = shares.from_stage
            and medians.period = shares.period
            and medians.to_stage = shares.to_stage
            and horizons.within_days = shares.within_days
    left join variances
        on
            medians.from_stage = variances.from_stage
            and medians.period = variances.period
            and medians.to_stage = variances.to_stage
            and horizons.within_days = variances.within_days

),

bounded as (

    select
        *,
        (share + {{ z * z }} / (2 * stays_like_it)) / (1 + {{ z * z }} / stays_like_it) as middle,
        {{ z }} * sqrt(
            greatest(share * (1 - share), 0) / stays_like_it + {{ z * z }} / (4 * stays_like_it * stays_like_it)
        ) / (1 + {{ z * z }} / stays_like_it) as spread,
    from measured

),

final as (

    select
        from_stage,
        to_stage,
        period,
        cast(within_days as integer) as within_days,
        entered,
        cast(moved as bigint) as moved,
        still_there,
        case when is_known then round(least(greatest(share, 0), 1), 9) end as conversion,
        case when is_known then round(greatest(least(middle - spread, share), 0), 9) end as low,
        case when is_known then round(least(greatest(middle + spread, share), 1), 9) end as high,
        cast(median_days as double) as median_days,
    from bounded

)

select * from final
