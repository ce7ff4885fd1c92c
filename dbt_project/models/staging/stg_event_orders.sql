with

order_events as (

    select * from {{ ref('stg_order_events') }}
    where {{ is_read_off_events('orders') }}

),

{{ orders_of_events('order_events', ['order_id']) }},

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
    from judged_orders

)

select * from final
