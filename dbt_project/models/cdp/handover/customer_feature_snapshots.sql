{%- set horizon = var('horizon_days') -%}

with

customers as (

    select
        customer_id,
        first_seen_at,
    from {{ ref('customers') }}

),

customer_orders as (

    select * from {{ ref('int_customer_orders') }}
    where is_valid

),

customer_order_lines as (

    select * from {{ ref('int_customer_order_lines') }}
    where is_valid

),

customer_timeline as (

    select * from {{ ref('customer_timeline') }}

),

sessions as (

    select * from {{ ref('sessions') }}

),

cutoffs as (

    select
        {{ as_of_date() }} - horizons.days_before as as_of_date,
        horizons.days_before = 0 as is_current,
        {{ end_of_day(as_of_date() ~ ' - horizons.days_before') }} as cutoff_at,
    from (values ({{ 2 * horizon }}), ({{ horizon }}), (0)) as horizons (days_before)

),

-- Whoever had been seen by the cut-off; what came later is no feature, only the label.
eligible as (

    select
        customers.customer_id,
        cutoffs.as_of_date,
        cutoffs.is_current,
        cutoffs.cutoff_at,
        date_diff('day', customers.first_seen_at, cutoffs.as_of_date) as days_observed,
    from customers
    inner join cutoffs
        on customers.first_seen_at < cutoffs.cutoff_at

),

order_features as (

    select
        eligible.customer_id,
        eligible.as_of_date,
        date_diff('day', max(customer_orders.ordered_at), eligible.as_of_date) as recency_days,
        count(*) as frequency_orders,
        sum(customer_orders.total_amount) as monetary_total,
        date_diff('day', min(customer_orders.ordered_at), eligible.as_of_date) as tenure_days,
        count(*) filter (where {{ within_days('customer_orders.ordered_at', 28) }}) as orders_28d,
        count(*) filter (where {{ within_days('customer_orders.ordered_at', 84) }}) as orders_84d,
        sum(customer_orders.total_amount) filter (
            where {{ within_days('customer_orders.ordered_at', 28) }}
        ) as spend_28d,
        sum(customer_orders.total_amount) filter (
            where {{ within_days('customer_orders.ordered_at', 84) }}
        ) as spend_84d,
        date_diff('day', min(customer_orders.ordered_at), max(customer_orders.ordered_at))
        / nullif(count(*) - 1, 0) as average_days_between_orders,
        count(*) filter (where customer_orders.is_store_order) as store_orders,
        count(*) filter (where not customer_orders.is_store_order) as online_orders,
        cast(sum(customer_orders.discount_amount) as double)
        / nullif(
            cast(sum(customer_orders.total_amount + customer_orders.discount_amount) as double), 0
        ) as discount_share,
    from eligible
    inner join customer_orders
        on
            eligible.customer_id = customer_orders.customer_id
            and eligible.cutoff_at > customer_orders.ordered_at
    group by
        eligible.customer_id,
        eligible.as_of_date,
        eligible.cutoff_at

),

category_spend as (

    select
        eligible.customer_id,
        eligible.as_of_date,
        customer_order_lines.category,
        sum(customer_order_lines.amount) as spend,
    from eligible
    inner join customer_order_lines
        on
            eligible.customer_id = customer_order_lines.customer_id
            and eligible.cutoff_at > customer_order_lines.ordered_at
    where customer_order_lines.category is not null
    group by all

),

category_features as (

    select
        customer_id,
        as_of_date,
        list(category order by spend desc nulls last, category)[1:5] as top_categories,
        count(*) as category_count,
    from category_spend
    group by all

),

activity_features as (

    select
        eligible.customer_id,
        eligible.as_of_date,
        count(*) filter (
            where customer_timeline.activity in ('call', 'phone', 'phone_call')
            and {{ within_days('customer_timeline.occurred_at', 84) }}
        ) as calls_84d,
        count(*) filter (
            where customer_timeline.activity = 'email_opened'
            and {{ within_days('customer_timeline.occurred_at', 84) }}
        ) as emails_opened_84d,
        count(*) filter (
            where customer_timeline.activity = 'email_clicked'
            and {{ within_days('customer_timeline.occurred_at', 84) }}
        ) as emails_clicked_84d,
        count(*) filter (
            where customer_timeline.activity in ('page_viewed', 'screen_viewed')
            and {{ within_days('customer_timeline.occurred_at', 28) }}
        ) as web_page_views_28d,
        count(*) filter (
            where customer_timeline.activity = 'product_viewed'
            and {{ within_days('customer_timeline.occurred_at', 28) }}
        ) as product_views_28d,
    from eligible
    inner join customer_timeline
        on
            eligible.customer_id = customer_timeline.customer_id
            and eligible.cutoff_at > customer_timeline.occurred_at
            and eligible.cutoff_at - interval 84 day <= customer_timeline.occurred_at
    group by
        eligible.customer_id,
        eligible.as_of_date

),

session_features as (

    select
        eligible.customer_id,
        eligible.as_of_date,
        count(*) as web_sessions_28d,
    from eligible
    inner join sessions
        on
            eligible.customer_id = sessions.customer_id
            and eligible.cutoff_at > sessions.started_at
            and eligible.cutoff_at - interval 28 day <= sessions.started_at
    group by all

),

labels as (

    select distinct
        eligible.customer_id,
        eligible.as_of_date,
    from eligible
    inner join customer_orders
        on
            eligible.customer_id = customer_orders.customer_id
            and eligible.cutoff_at <= customer_orders.ordered_at
            and eligible.cutoff_at + interval {{ horizon }} day > customer_orders.ordered_at

),

final as (

    select
        eligible.customer_id,
        category_features.top_categories[1] as top_category,
        coalesce(category_features.top_categories, []) as top_categories,
        eligible.days_observed,
        order_features.recency_days,
        coalesce(order_features.frequency_orders, 0) as frequency_orders,
        cast(coalesce(order_features.monetary_total, 0) as decimal(18, 4)) as monetary_total,
        order_features.tenure_days,
        coalesce(order_features.orders_28d, 0) as orders_28d,
        coalesce(order_features.orders_84d, 0) as orders_84d,
        cast(coalesce(order_features.spend_28d, 0) as decimal(18, 4)) as spend_28d,
        cast(coalesce(order_features.spend_84d, 0) as decimal(18, 4)) as spend_84d,
        cast(order_features.monetary_total / order_features.frequency_orders as decimal(18, 4))
            as average_order_value,
        order_features.average_days_between_orders,
        coalesce(order_features.store_orders, 0) as store_orders,
        coalesce(order_features.online_orders, 0) as online_orders,
        coalesce(category_features.category_count, 0) as category_count,
        order_features.discount_share,
        coalesce(activity_features.calls_84d, 0) as calls_84d,
        coalesce(activity_features.emails_opened_84d, 0) as emails_opened_84d,
        coalesce(activity_features.emails_clicked_84d, 0) as emails_clicked_84d,
        coalesce(session_features.web_sessions_28d, 0) as web_sessions_28d,
        coalesce(activity_features.web_page_views_28d, 0) as web_page_views_28d,
        coalesce(activity_features.product_views_28d, 0) as product_views_28d,
        eligible.is_current,
        case when not eligible.is_current then labels.customer_id is not null end as bought_in_horizon,
        eligible.as_of_date,
    from eligible
    left join order_features
        on
            eligible.customer_id = order_features.customer_id
            and eligible.as_of_date = order_features.as_of_date
    left join category_features
        on
            eligible.customer_id = category_features.customer_id
            and eligible.as_of_date = category_features.as_of_date
    left join activity_features
        on
            eligible.customer_id = activity_features.customer_id
            and eligible.as_of_date = activity_features.as_of_date
    left join session_features
        on
            eligible.customer_id = session_features.customer_id
            and eligible.as_of_date = session_features.as_of_date
    left join labels
        on
            eligible.customer_id = labels.customer_id
            and eligible.as_of_date = labels.as_of_date

)

select * from final
