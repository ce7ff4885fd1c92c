with

members as (

    select * from {{ source('ml', 'customer_segments') }}

),

final as (

    select
        customer_id,
        segment_id,
        cast(distance as double) as distance,
        cast(as_of_date as date) as as_of_date,
    from members

)

select * from final
