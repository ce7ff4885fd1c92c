{{ config(materialized='accumulated', meta={'kind': 'order_lines'}) }}
with

source as not materialized (

    select * from {{ landed('order_lines', this) }}
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

{{ latest_versions_of('renamed', 'order_lines', with_deleted=true) }},

{{ held_versions_of('latest', 'order_lines', this) }},

final as (

    select * from held

)

select * from final
