{#- Derived signals know of the customer only what was known when their month began: a signal that waited for the
    customer not to buy, or to buy, within the month would be told by the very orders it is to be held against. -#}
with

customers as (

    select
        customer_id,
        birth_date,
        first_seen_at,
    from {{ ref('customers') }}

),

customer_orders as not materialized (

    select * from {{ ref('int_customer_orders') }}

),

customer_order_lines as (

    select * from {{ ref('int_customer_order_lines') }}
    where is_valid

),

customer_events as (

    select * from {{ ref('int_customer_events') }}

),

interactions as (

    select * from {{ ref('stg_interactions') }}

),

messages as (

    select * from {{ ref('stg_messages') }}

),

consents as (

    select * from {{ ref('stg_consents') }}
    where effective_at < {{ end_of_day() }}

),

customer_versions as (

    select * from {{ ref('stg_customer_versions') }}

),

node_customers as not materialized (

    select * from {{ ref('int_node_customers') }}

),

customer_identifiers as (

    select * from {{ ref('customer_identifiers') }}

),

customer_stages as (

    select
        customer_id,
        stage,
        entered_at,
        coalesce(left_at, cast('9999-12-31' as timestamp)) as until,
    from {{ ref('customer_stages') }}

),

order_times as (

    select distinct
        customer_id,
        ordered_at,
    from customer_orders

),

-- What is done about an order is the order itself, not a reason for it.
browsing as (

    select
        customer_id,
        replace(activity, '_', ' ') as signal,
        category as signal_category,
        occurred_at,
    from customer_events
    where not regexp_matches(activity, 'order|checkout|purchase|payment|transaction|refund')

),

-- The visit in which somebody buys is part of the purchase: nothing of twice a session's pause around its minute
-- counts.
purchase_visits as (

    select
        customer_id,
        date_trunc('minute', ordered_at) - interval {{ 2 * var('session_timeout_minutes') }} minute as started_at,
        date_trunc('minute', ordered_at) + interval {{ 2 * var('session_timeout_minutes') + 1 }} minute as ended_at,
    from order_times

),

-- By each day that one touches, so that few are compared with an activity.
purchase_visit_days as (

    select
        *,
        unnest(generate_series(date_trunc('day', started_at), ended_at, interval 1 day)) as day,
    from purchase_visits

),

behaviours as (

    select
        browsing.customer_id,
        'behaviour' as signal_kind,
        browsing.signal,
        browsing.signal_category,
        browsing.occurred_at,
    from browsing
    anti join purchase_visit_days
        on
            browsing.customer_id = purchase_visit_days.customer_id
            and date_trunc('day', browsing.occurred_at) = purchase_visit_days.day
            and browsing.occurred_at >= purchase_visit_days.started_at
            and browsing.occurred_at < purchase_visit_days.ended_at

),

customer_contacts as (

    select
        node_customers.customer_id,
        coalesce(nullif(lower(trim(interactions.type)), ''), 'contact') as type,
        nullif(lower(trim(interactions.reason)), '') as reason,
        nullif(lower(trim(interactions.outcome)), '') as outcome,
        interactions.channel,
        interactions.satisfaction,
        interactions.occurred_at,
    from interactions
    inner join node_customers
        on interactions.node_key = node_customers.node_key

),

contacts as (

    select
        customer_id,
        'contact' as signal_kind,
        type || coalesce(': ' || nullif(concat_ws(', ', reason, outcome), ''), '') as signal,
        cast(null as varchar) as signal_category,
        occurred_at,
    from customer_contacts

),

-- Scales differ from company to company: high and low are judged among the answers of the channel.
satisfaction_scales as (

    select
        channel,
        quantile_cont(satisfaction, 0.25) as low_to,
        quantile_cont(satisfaction, 0.75) as high_from,
    from customer_contacts
    where satisfaction is not null
    group by all

),

satisfactions as (

    select
        customer_contacts.customer_id,
        'satisfaction' as signal_kind,
        case
            when customer_contacts.satisfaction >= satisfaction_scales.high_from then 'high satisfaction stated'
            else 'low satisfaction stated'
        end as signal,
        cast(null as varchar) as signal_category,
        customer_contacts.occurred_at,
    from customer_contacts
    inner join satisfaction_scales
        on customer_contacts.channel = satisfaction_scales.channel
    where
        satisfaction_scales.low_to < satisfaction_scales.high_from
        and (
            customer_contacts.satisfaction >= satisfaction_scales.high_from
            or customer_contacts.satisfaction <= satisfaction_scales.low_to
        )

),

-- Campaigns of one kind differ by a number or a date in their id.
contacted as (

    select
        node_customers.customer_id,
        'message' as signal_kind,
        coalesce(nullif(lower(trim(messages.medium)), ''), 'message') || ' ' || messages.action || coalesce(
            ': '
            || nullif(
                trim(
                    regexp_replace(
                        regexp_replace(lower(messages.campaign_id), '[0-9]+', ' ', 'g'), '[^\p{L}]+', ' ', 'g'
                    )
                ),
                ''
            ),
            ''
        ) as signal,
        cast(null as varchar) as signal_category,
        messages.occurred_at,
    from messages
    inner join node_customers
        on messages.node_key = node_customers.node_key
    where messages.action in ('sent', 'opened', 'clicked', 'unsubscribed')

),

consent_statements as (

    select
        customer_identifiers.customer_id,
        'consent' as signal_kind,
        'consent ' || consents.status || ': ' || consents.purpose as signal,
        cast(null as varchar) as signal_category,
        consents.effective_at as occurred_at,
    from consents
    inner join customer_identifiers
        on
            consents.id_type = customer_identifiers.id_type
            and consents.id_value = customer_identifiers.id_value

),

priced_lines as (

    select
        customer_order_lines.customer_id,
        customer_order_lines.product_id,
        customer_order_lines.category,
        customer_orders.is_store_order,
        customer_order_lines.amount / nullif(customer_order_lines.quantity, 0) as unit_price,
        cast(customer_order_lines.ordered_at as date) as ordered_on,
    from customer_order_lines
    inner join customer_orders
        on
            customer_order_lines.order_id = customer_orders.order_id
            and customer_order_lines.channel = customer_orders.channel
    where
        customer_order_lines.category is not null
        and customer_order_lines.amount > 0
        and customer_order_lines.quantity > 0

),

usual_prices as (

    select
        product_id,
        is_store_order,
        median(unit_price) as usual_price,
    from priced_lines
    group by all
    having count(*) >= 3

),

-- A category is reduced on a day when three of four of its lines, at least two, cost a tenth less than usual.
reduced_days as (

    select
        priced_lines.category,
        priced_lines.is_store_order,
        priced_lines.ordered_on,
    from priced_lines
    inner join usual_prices
        on
            priced_lines.product_id = usual_prices.product_id
            and priced_lines.is_store_order = usual_prices.is_store_order
    group by all
    having
        count(*) filter (where priced_lines.unit_price <= 0.9 * usual_prices.usual_price) >= 2
        and count(*) filter (where priced_lines.unit_price <= 0.9 * usual_prices.usual_price) >= 0.75 * count(*)

),

-- Days of a sale on which nothing of the category is bought leave gaps in it.
sale_starts as (

    select
        category,
        is_store_order,
        ordered_on as started_on,
    from reduced_days
    qualify
        coalesce(
            date_diff(
                'day',
                lag(ordered_on) over (partition by category, is_store_order order by ordered_on),
                ordered_on
            ) > 3,
            true
        )

),

-- Customers are numbers until it is known which of them a sale concerns: as texts they would be grouped twice as long.
monthly_lines as (

    select
        {{ hash_key('customer_id') }} as customer_key,
        category,
        is_store_order,
        cast(date_trunc('month', ordered_on) as date) as ordered_month,
        count(*) as line_count,
    from priced_lines
    group by all

),

lines_on_sale as (

    select
        monthly_lines.customer_key,
        monthly_lines.is_store_order,
        sale_starts.started_on,
        sum(monthly_lines.line_count) as line_count,
    from monthly_lines
    inner join sale_starts
        on
            monthly_lines.category = sale_starts.category
            and monthly_lines.is_store_order = sale_starts.is_store_order
            and monthly_lines.ordered_month < date_trunc('month', sale_starts.started_on)
    group by all
    having sum(monthly_lines.line_count) >= 2

),

monthly_totals as (

    select
        customer_key,
        is_store_order,
        ordered_month,
        sum(line_count) as line_count,
    from monthly_lines
    group by all

),

-- What was bought up to the end of a month, until the month in which more is.
lines_so_far as (

    select
        customer_key,
        is_store_order,
        ordered_month,
        coalesce(lead(ordered_month) over in_time, cast('9999-12-31' as date)) as next_ordered_month,
        sum(line_count) over in_time as line_count,
    from monthly_totals
    window
        in_time as (
            partition by customer_key, is_store_order
            order by ordered_month
        )

),

-- The sale is told the moment before its first day, so that this day is the first after the signal.
price_drops as (

    select
        customers.customer_id,
        'price drop' as signal_kind,
        'price drop ' || case when lines_on_sale.is_store_order then 'in store' else 'on line' end
        || case
            when lines_on_sale.line_count * 3 >= lines_so_far.line_count then ' on a third or more of what they buy'
            else ' on a tenth to a third of what they buy'
        end as signal,
        cast(null as varchar) as signal_category,
        cast(lines_on_sale.started_on as timestamp) - interval 1 second as occurred_at,
    from lines_on_sale
    inner join lines_so_far
        on
            lines_on_sale.customer_key = lines_so_far.customer_key
            and lines_on_sale.is_store_order = lines_so_far.is_store_order
            and date_trunc('month', lines_on_sale.started_on) > lines_so_far.ordered_month
            and date_trunc('month', lines_on_sale.started_on) <= lines_so_far.next_ordered_month
    inner join customers
        on lines_on_sale.customer_key = {{ hash_key('customers.customer_id') }}
    where lines_on_sale.line_count * 10 >= lines_so_far.line_count

),

category_days as (

    select distinct
        customer_id,
        category,
        ordered_on,
    from priced_lines

),

-- By the rhythm known at the end of each month: the category is due when the usual pause since its last purchase ends.
category_rhythms as (

    select
        customer_id,
        category,
        ordered_on,
        cast(date_trunc('month', ordered_on) as date) as ordered_month,
        date_diff('day', min(ordered_on) over so_far, ordered_on)
        / nullif(count(*) over so_far - 1, 0) as usual_gap_days,
        count(*) over so_far as purchase_days,
    from category_days
    window so_far as (partition by customer_id, category order by ordered_on)

),

last_of_month as (

    select
        customer_id,
        category,
        ordered_month,
        purchase_days,
        usual_gap_days,
        ordered_on + cast(ceil(usual_gap_days) as integer) as due_on,
    from category_rhythms
    qualify row_number() over (partition by customer_id, category, ordered_month order by ordered_on desc) = 1

),

due_dates as (

    select
        *,
        lead(ordered_month) over (partition by customer_id, category order by ordered_month) as next_ordered_month,
    from last_of_month

),

replenishments as (

    select
        customer_id,
        'replenishment' as signal_kind,
        'usual pause in a category is over' as signal,
        category as signal_category,
        cast(due_on as timestamp) - interval 1 second as occurred_at,
    from due_dates
    where
        purchase_days >= 3
        and usual_gap_days >= 7
        and due_on <= {{ as_of_date() }}
        and date_trunc('month', due_on) > ordered_month
        and coalesce(date_trunc('month', due_on) <= next_ordered_month, true)

),

birthdays as (

    select
        customer_id,
        'birthday' as signal_kind,
        'birthday' as signal,
        cast(null as varchar) as signal_category,
        cast(
            birth_date
            + to_years(
                cast(extract(year from {{ as_of_date() }}) - extract(year from birth_date) - years.ago as integer)
            )
            as timestamp
        ) - interval 1 second as occurred_at,
    from customers
    cross join (values (0), (1), (2)) as years (ago)
    where birth_date is not null

),

moves as (

    select
        node_customers.customer_id,
        'move' as signal_kind,
        'moved to another address' as signal,
        cast(null as varchar) as signal_category,
        customer_versions.observed_at as occurred_at,
    from customer_versions
    inner join node_customers
        on customer_versions.node_key = node_customers.node_key
    where customer_versions.postcode is not null
    qualify
        lag(customer_versions.postcode) over (
            partition by customer_versions.node_key
            order by customer_versions.observed_at, customer_versions.landed_on, customer_versions.source_row
        ) <> customer_versions.postcode

),

united as (

    select * from behaviours

    union all

    select * from contacts

    union all

    select * from satisfactions

    union all

    select * from contacted

    union all

    select * from consent_statements

    union all

    select * from price_drops

    union all

    select * from replenishments

    union all

    select * from birthdays

    union all

    select * from moves

),

daily as (

    select
        customer_id,
        signal_kind,
        signal,
        signal_category,
        cast(occurred_at as date) as signal_date,
        min(occurred_at) as occurred_at,
    from united
    where
        occurred_at < {{ end_of_day() }}
        and signal is not null
    group by all

),

months as (

    select
        *,
        date_trunc('month', occurred_at) as month_began_at,
    from daily

),

final as (

    select
        months.customer_id,
        months.signal_kind,
        months.signal,
        months.signal_category,
        coalesce(customer_stages.stage, 'lead') as stage,
        months.signal_date,
        months.occurred_at,
    from months
    left join customer_stages
        on
            months.customer_id = customer_stages.customer_id
            and months.month_began_at > customer_stages.entered_at
            and months.month_began_at <= customer_stages.until

)

select * from final
