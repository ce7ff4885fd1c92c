{%- set columns = [
    'status', 'sales_channel', 'store_id', 'currency', 'coupon', 'total', 'discount', 'ordered_at', 'updated_at'
] -%}
with

orders as (

    select * from {{ ref('stg_orders') }}

),

order_events as (

    select * from {{ ref('stg_order_events') }}
    where {{ is_read_off_events('orders') }}

),

customer_orders as (

    select * from {{ ref('int_customer_orders') }}

),

changed_versions as (

    select * from {{ ref('stg_order_versions') }}

),

{{ channel_starts_of('orders') }},

versions_of_channels as (

    select
        orders.channel,
        orders.order_id,
        {%- for column in columns %}
        orders.{{ column }},
        {%- endfor %}
        {{ known_on('orders', 'orders.ordered_at') }} as known_on,
        cast(null as date) as gone_on,
        orders.landed_on = channel_starts.started_on as is_history,
    from orders
    inner join channel_starts
        on orders.channel = channel_starts.channel
    anti join changed_versions
        on
            {{ same('orders', 'changed_versions', ['channel', 'order_id']) }}

    union all

    select
        changed_versions.channel,
        changed_versions.order_id,
        {%- for column in columns %}
        changed_versions.{{ column }},
        {%- endfor %}
        coalesce(
            changed_versions.known_on, {{ known_on('changed_versions', 'changed_versions.ordered_at', 'landed_on') }}
        ) as known_on,
        changed_versions.gone_on,
        changed_versions.landed_on = channel_starts.started_on as is_history,
    from changed_versions
    inner join channel_starts
        on changed_versions.channel = channel_starts.channel
    where not changed_versions.is_deleted

),

event_starts as (

    select
        channel,
        min(first_landed_on) as started_on,
    from {{ ref('stg_events') }}
    where {{ is_read_off_events('orders') }}
    group by all

),

-- Each report changes what is known of an order, from the day on which it was received.
reports as (

    select
        order_events.*,
        case
            when order_events.first_landed_on > event_starts.started_on then order_events.first_landed_on
            else cast(order_events.occurred_at as date)
        end as received_on,
    from order_events
    inner join event_starts
        on order_events.channel = event_starts.channel

),

report_days as (

    select distinct
        order_id,
        received_on as known_on,
    from reports

),

reports_by_day as (

    select
        reports.*,
        report_days.known_on,
    from reports
    inner join report_days
        on
            reports.order_id = report_days.order_id
            and reports.received_on <= report_days.known_on

),

{{ orders_of_events('reports_by_day', ['order_id', 'known_on']) }},

versions_of_events as (

    select
        channel,
        order_id,
        status,
        'online' as sales_channel,
        cast(null as varchar) as store_id,
        currency,
        coupon,
        total,
        discount,
        ordered_at,
        updated_at,
        known_on,
        lead(known_on) over (partition by order_id order by known_on) as gone_on,
        false as is_history,
    from judged_orders

),

versions as (

    select * from versions_of_channels

    union all by name

    select * from versions_of_events

),

-- Whose an order is, and what its lines add up to, is as known today.
valued as (

    select
        versions.* exclude (total, discount),
        customer_orders.customer_id,
        coalesce(versions.total, customer_orders.total_amount, 0) as total_amount,
        coalesce(versions.discount, 0) as discount_amount,
        customer_orders.line_count,
        customer_orders.has_time_of_day,
        {{ is_valid_order('versions.status') }} as is_valid,
        {{ is_store_order('versions') }} as is_store_order,
        case
            when versions.is_history and cast(versions.updated_at as date) > versions.known_on
                then cast(versions.updated_at as date)
        end as cancelled_on,
    from versions
    inner join customer_orders
        on
            versions.channel = customer_orders.channel
            and versions.order_id = customer_orders.order_id

),

-- An order that a channel's history says to be cancelled counted until it was.
dated as (

    select
        *,
        unnest(
            case
                when is_valid or cancelled_on is null or cancelled_on >= gone_on
                    then [{'was_valid': is_valid or cancelled_on is not null, 'begin': known_on, 'finish': gone_on}]
                else
                    [
                        {'was_valid': true, 'begin': known_on, 'finish': cancelled_on},
                        {'was_valid': false, 'begin': cancelled_on, 'finish': gone_on}
                    ]
            end
        ) as interval_of,
    from valued

),

final as (

    select
        channel,
        order_id,
        customer_id,
        status,
        sales_channel,
        currency,
        coupon,
        case
            when not has_time_of_day then null
            when date_part('hour', ordered_at) < 6 then 'night'
            when date_part('hour', ordered_at) < 12 then 'morning'
            when date_part('hour', ordered_at) < 18 then 'afternoon'
            else 'evening'
        end as part_of_day,
        cast(total_amount as decimal(18, 4)) as total_amount,
        cast(discount_amount as decimal(18, 4)) as discount_amount,
        line_count,
        interval_of.was_valid as is_valid,
        is_store_order,
        date_part('isodow', ordered_at) >= 6 as is_weekend,
        ordered_at as occurred_at,
        interval_of.begin as known_on,
        interval_of.finish as gone_on,
    from dated

)

select * from final
