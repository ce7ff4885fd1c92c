with

order_lines as (

    select * from {{ ref('stg_event_order_lines') }}
    where
        {{ is_read_off_events('products') }}
        and product_id is not null

),

final as (

    select
        product_id,
        product_name as name,
        brand,
        category,
        channel,
        party,
        source_file,
        source_row,
        unit_price as price,
        landed_on,
        first_landed_on,
    from order_lines
    qualify
        row_number() over (
            partition by channel, product_id
            order by occurred_at desc, order_id, line_number
        ) = 1

)

select * from final
