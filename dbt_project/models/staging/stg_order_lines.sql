with

source as not materialized (

    select * from {{ source('landing', 'order_lines') }}
    where date <= {{ as_of_date() }}

),

renamed as not materialized (

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
        date as landed_on,
        attributes,
        rejected_values,
    from source

),

{{ latest_versions_of('renamed', 'order_lines') }},

final as (

    select * from latest

)

select * from final
