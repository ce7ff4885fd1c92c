with

source as not materialized (

    select * from {{ source('landing', 'products') }}
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

{{ latest_versions_of('renamed', 'products') }},

final as (

    select * from latest

)

select * from final
