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
        date as landed_on,
        attributes,
        rejected_values,
    from source

),

{{ latest_versions_of('renamed', key=['order_id', 'line_number'], ordered_by='line_number') }},

final as (

    select * from latest

)

select * from final
