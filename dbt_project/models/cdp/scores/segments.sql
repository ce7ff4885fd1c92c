with

segments as (

    select * from {{ source('ml', 'segments') }}

),

final as (

    select
        segment_id,
        name,
        description,
        model_version,
        cast(size as bigint) as size,
        cast(share as double) as share,
        cast(as_of_date as date) as as_of_date,
    from segments

)

select * from final
