{{ config(materialized='accumulated', meta={'kind': 'order_lines'}) }}
{%- set delivered = landed_rows_of('order_lines', this) -%}
with

source as (

    select * from {{ delivered }}

),

renamed as (

    select
        order_id,
        line_number,
        product_id,
        channel,
        party,
        source_file,
        source_row,
        quantity,
        unit_price,
        amount,
        is_deleted,
        landed_on,
        attributes,
        rejected_values,
    from source

),

{{ latest_versions_of('renamed', 'order_lines', with_deleted=true, rows=delivered) }},

{{ held_versions_of('latest', 'order_lines', this) }},

final as (

    select * from held

)

select * from final
