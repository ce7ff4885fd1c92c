with

snapshots as (

    select
        customer_id,
        as_of_date,
        is_current,
    from {{ ref('customer_feature_snapshots') }}

),

cutoffs as (

    select distinct
        as_of_date,
        is_current,
        {{ end_of_day('as_of_date') }} as cutoff_at,
    from snapshots

),

timeline as (

    select
        customer_id,
        category,
        order_id,
        activity = 'purchase' as is_purchase,
        amount,
        occurred_at,
    from {{ ref('customer_timeline') }}
    where
        category is not null
        and (activity = 'purchase' or starts_with(activity, 'product_'))

),

-- The categories that sell to most customers.
categories as (

    select category
    from timeline
    where is_purchase
    group by category
    having count(distinct customer_id) > 1
    order by
        count(distinct customer_id) desc,
        category
    limit {{ var('propensity_categories') }}

),

known as (

    select timeline.*
    from timeline
    semi join categories
        on timeline.category = categories.category

),

-- What came before the cut-off are features; what came in the horizon after it is the label, and nothing else is.
measured as (

    select
        known.customer_id,
        cutoffs.as_of_date,
        cutoffs.is_current,
        known.category,
        count(distinct coalesce(known.order_id, cast(known.occurred_at as varchar))) filter (
            where known.is_purchase and known.occurred_at < cutoffs.cutoff_at
        ) as category_orders,
        count(distinct coalesce(known.order_id, cast(known.occurred_at as varchar))) filter (
            where
            known.is_purchase
            and known.occurred_at < cutoffs.cutoff_at
            and known.occurred_at >= cutoffs.cutoff_at - interval 84 day
        ) as category_orders_84d,
        cast(coalesce(sum(known.amount) filter (
            where known.is_purchase and known.occurred_at < cutoffs.cutoff_at
        ), 0) as decimal(18, 4)) as category_spend,
        count(*) filter (
            where
            not known.is_purchase
            and known.occurred_at < cutoffs.cutoff_at
            and known.occurred_at >= cutoffs.cutoff_at - interval 28 day
        ) as category_views_28d,
        date_diff('day', max(known.occurred_at) filter (
            where known.is_purchase and known.occurred_at < cutoffs.cutoff_at
        ), cutoffs.cutoff_at) - 1 as days_since_category_order,
        case
            when not cutoffs.is_current
                then bool_or(
                    known.is_purchase
                    and known.occurred_at >= cutoffs.cutoff_at
                    and known.occurred_at < cutoffs.cutoff_at + interval {{ var('horizon_days') }} day
                )
        end as bought_in_horizon,
    from known
    cross join cutoffs
    group by
        known.customer_id,
        cutoffs.as_of_date,
        cutoffs.is_current,
        cutoffs.cutoff_at,
        known.category

),

final as (

    select measured.*
    from measured
    semi join snapshots
        on
            measured.customer_id = snapshots.customer_id
            and measured.as_of_date = snapshots.as_of_date
    where
        measured.category_orders > 0
        or measured.category_views_28d > 0
        or measured.bought_in_horizon

)

select * from final
