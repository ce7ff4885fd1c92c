with

order_events as (

    select * from {{ ref('stg_order_events') }}
    where {{ is_read_off_events('orders') }}

),

-- The event that completed the order says where and by whom; what was ordered is as the last event describes it, and
-- what became of it as the last event that tells.
summed as (

    select
        order_id,
        coalesce(
            arg_min(node_key, report_number) filter (where report = 'completed' and node_key is not null),
            arg_min(node_key, report_number) filter (where node_key is not null)
        ) as node_key,
        coalesce(
            arg_min(channel, report_number) filter (where report = 'completed'),
            arg_min(channel, report_number)
        ) as channel,
        coalesce(
            arg_min(party, report_number) filter (where report = 'completed'),
            arg_min(party, report_number)
        ) as party,
        {%- for column in ['currency', 'coupon', 'total', 'discount', 'shipping', 'tax'] %}
        arg_max({{ column }}, report_number) filter (where is_content and {{ column }} is not null) as {{ column }},
        {%- endfor %}
        arg_max(
            {'report': report, 'status': status, 'total': total, 'has_items': len(items) > 0}, report_number
        ) filter (where report <> 'updated' or status is not null) as outcome,
        bool_or(is_content) as has_content,
        arg_max(source_file, report_number) as source_file,
        arg_max(source_row, report_number) as source_row,
        coalesce(min(occurred_at) filter (where report = 'completed'), min(occurred_at)) as ordered_at,
        max(occurred_at) as updated_at,
        max(landed_on) as landed_on,
        min(first_landed_on) as first_landed_on,
    from order_events
    group by order_id

),

-- A refund that names products and is not of all the money leaves the order valid.
judged as (

    select
        *,
        case
            when outcome.report <> 'refunded' then coalesce(outcome.status, outcome.report)
            when has_content and outcome.has_items and coalesce(outcome.total < total, true) then 'partially_refunded'
            else 'refunded'
        end as status,
    from summed

),

-- Who ordered is known by the event's node: identifiers here would be evidence twice.
final as (

    select
        order_id,
        node_key,
        status,
        'online' as sales_channel,
        cast(null as varchar) as store_id,
        currency,
        coupon,
        channel,
        party,
        source_file,
        source_row,
        total,
        discount,
        {{ is_valid_order('status') }} as is_valid,
        ordered_at,
        updated_at,
        landed_on,
        first_landed_on,
        map_from_entries(list_filter(
            [
                {'key': 'shipping', 'value': cast(shipping as varchar)},
                {'key': 'tax', 'value': cast(tax as varchar)},
            ],
            lambda entry: entry.value is not null
        )) as attributes,
    from judged

)

select * from final
