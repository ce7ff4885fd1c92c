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

{{ latest_versions_of('renamed', 'products', with_deleted=true) }},

{{ held_versions_of('latest', 'products', this) }},

final as (

    select * from held

)

select * from final
