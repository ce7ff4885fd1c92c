{{ config(materialized='accumulated', meta={'kind': 'products'}) }}
with

source as not materialized (

    select * from {{ landed('products', this) }}
    where date <= {{ as_of_date() }}

),

renamed as not materialized (

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
        date as landed_on,
        attributes,
        rejected_values,
    from source

),

{{ accumulated_versions_of('renamed', 'products', this) }},

final as (

    select * from latest

)

select * from final
