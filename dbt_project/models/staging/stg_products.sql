{{ config(materialized='accumulated', meta={'kind': 'products'}) }}
{%- set delivered = landed_rows_of('products', this) -%}
with

source as (

    select * from {{ delivered }}

),

renamed as (

    select
        product_id,
        name,
        brand,
        category,
        channel,
        party,
        source_file,
        source_row,
        price,
        is_deleted,
        landed_on,
        attributes,
        rejected_values,
    from source

),

{{ latest_versions_of('renamed', 'products', with_deleted=true, rows=delivered) }},

{{ held_versions_of('latest', 'products', this) }},

final as (

    select * from held

)

select * from final
