with

order_events as (

    select * from {{ ref('stg_order_events') }}
    where {{ is_read_off_events('order_lines') }}

),

-- The last event that lists what was ordered lists all of it. (Not the row numbered first: over a table DuckDB 1.5.5
-- rewrites that to a join, and joins the wrong columns when a list is unnested above it.)
last_lists as (

    select
        order_id,
        max(report_number) as report_number,
    from order_events
    where
        is_content
        and array_length(items) > 0
    group by order_id

),

-- The number is the place in the list: `position` is where the product stood on a page.
products as (

    select
        order_events.* exclude (items),
        unnest(order_events.items) as item,
        generate_subscripts(order_events.items, 1) as line_number,
    from order_events
    inner join last_lists
        on
            order_events.order_id = last_lists.order_id
            and order_events.report_number = last_lists.report_number

),

read as (

    select
        *,
        {{ first_json_text('item', ['product_id', 'sku', 'item_id', 'id']) }} as product_id,
        {{ first_json_text('item', ['name', 'item_name']) }} as product_name,
        {{ first_json_text('item', ['brand', 'item_brand']) }} as brand,
        {{ first_json_text('item', ['category', 'item_category']) }} as category,
        coalesce({{ first_json_amount('item', ['quantity']) }}, 1) as quantity,
        {{ first_json_amount('item', ['price']) }} as unit_price,
    from products

),

final as (

    select
        order_id,
        line_number,
        product_id,
        product_name,
        brand,
        category,
        channel,
        party,
        source_file,
        source_row,
        quantity,
        unit_price,
        -- What a browser says may be too large to be an amount.
        try_cast(cast(quantity as decimal(19, 4)) * unit_price as decimal(18, 4)) as amount,
        occurred_at,
        landed_on,
        first_landed_on,
    from read

)

select * from final
