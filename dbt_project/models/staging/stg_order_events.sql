{%- set is_wanted = is_read_off_events('orders') or is_read_off_events('order_lines') -%}
with

-- Names as in the ecommerce specifications of Segment and of GA4, in any spelling: Order Completed, order_completed.
events as (

    select
        *,
        case regexp_replace(lower(name), '[^a-z]', '', 'g')
            when 'ordercompleted' then 'completed'
            when 'orderplaced' then 'completed'
            when 'purchase' then 'completed'
            when 'purchased' then 'completed'
            when 'orderupdated' then 'updated'
            when 'orderrefunded' then 'refunded'
            when 'refund' then 'refunded'
            when 'ordercancelled' then 'cancelled'
            when 'ordercanceled' then 'cancelled'
        end as report,
    from {{ ref('stg_events') }}
    where
        {{ 'type' if is_wanted else 'false and type' }} = 'track'
        and is_owned_site
        and not is_bot

),

read as (

    select
        event_id,
        coalesce(
            {{ first_json_text('properties', ['order_id', 'orderId', 'transaction_id']) | indent(8) }},
            case when report = 'completed' then event_id end
        ) as order_id,
        node_key,
        report,
        {{ first_json_text('properties', ['status']) }} as status,
        {{ first_json_text('properties', ['currency']) }} as currency,
        {{ first_json_text('properties', ['coupon']) }} as coupon,
        channel,
        party,
        source_file,
        source_row,
        {{ first_json_amount('properties', ['total', 'revenue', 'value']) }} as total,
        {{ first_json_amount('properties', ['discount']) }} as discount,
        {{ first_json_amount('properties', ['shipping']) }} as shipping,
        {{ first_json_amount('properties', ['tax']) }} as tax,
        occurred_at,
        landed_on,
        first_landed_on,
        case
            when json_type(properties, '$.products') = 'ARRAY' then cast(properties -> '$.products' as json[])
            when json_type(properties, '$.items') = 'ARRAY' then cast(properties -> '$.items' as json[])
            else []
        end as items,
    from events
    where report is not null

),

final as (

    select
        *,
        report in ('completed', 'updated') as is_content,
        row_number() over (partition by order_id order by occurred_at, event_id, channel) as report_number,
    from read
    where order_id is not null

)

select * from final
