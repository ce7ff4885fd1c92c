{{ config(meta={'in_parts_of': 'int_known_customers', 'counted': 'customer_id'}) }}
with

snapshots as (

    select
        customer_id,
        as_of_date,
        is_current,
        {{ end_of_day('as_of_date') }} as cutoff_at,
    from {{ ref('customer_feature_snapshots') }}
    where {{ in_part('customer_id') }}

),

order_lines as (

    select
        customer_id,
        category,
        amount,
        occurred_at,
        known_on,
        gone_on,
    from {{ ref('int_known_order_lines') }}
    where
        category is not null
        and {{ in_part('customer_id') }}

),

views as (

    select
        customer_id,
        category,
        occurred_at,
        known_on,
        cast(null as date) as gone_on,
    from {{ ref('int_customer_events') }}
    where
        category is not null
        and starts_with(activity, 'product_')
        and {{ in_part('customer_id') }}

),

categories as (

    select * from {{ ref('int_selling_categories') }}

),

behaviours as (

    select
        order_lines.*,
        true as is_purchase,
    from order_lines
    semi join categories
        on order_lines.category = categories.category

    union all by name

    select
        views.*,
        false as is_purchase,
    from views
    semi join categories
        on views.category = categories.category

),

-- What had happened and been received by the cut-off is a feature, what was bought in the horizon after it the label.
placed as (

    select
        behaviours.*,
        snapshots.as_of_date,
        snapshots.is_current,
        snapshots.cutoff_at,
        {{ is_known('behaviours', 'snapshots.as_of_date') }} as is_known,
        behaviours.is_purchase
        and behaviours.gone_on is null
        and behaviours.occurred_at >= snapshots.cutoff_at
        and behaviours.occurred_at < snapshots.cutoff_at + interval {{ var('horizon_days') }} day as is_outcome,
    from behaviours
    inner join snapshots
        on behaviours.customer_id = snapshots.customer_id

),

measured as (

    select
        customer_id,
        as_of_date,
        is_current,
        category,
        count(distinct occurred_at) filter (where is_known and is_purchase) as category_orders,
        count(distinct occurred_at) filter (
            where is_known and is_purchase and occurred_at >= cutoff_at - interval 84 day
        ) as category_orders_84d,
        cast(coalesce(sum(amount) filter (where is_known and is_purchase), 0) as decimal(18, 4)) as category_spend,
        count(*) filter (
            where is_known and not is_purchase and occurred_at >= cutoff_at - interval 28 day
        ) as category_views_28d,
        date_diff('day', max(occurred_at) filter (where is_known and is_purchase), cutoff_at)
        - 1 as days_since_category_order,
        case when not is_current then bool_or(is_outcome) end as bought_in_horizon,
    from placed
    where is_known or is_outcome
    group by
        customer_id,
        as_of_date,
        is_current,
        cutoff_at,
        category

),

final as (

    select *
    from measured
    where
        category_orders > 0
        or category_views_28d > 0
        or bought_in_horizon

)

select * from final
