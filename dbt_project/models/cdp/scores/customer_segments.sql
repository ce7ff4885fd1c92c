with

members as (

    select * from {{ source('ml', 'customer_segments') }}

),

final as (

    select
        customer_id,
        scheme,
        segment_id,
        cast(recency_score as bigint) as recency_score,
        cast(frequency_score as bigint) as frequency_score,
        cast(money_score as bigint) as money_score,
        cast(distance as double) as distance,
        cast(as_of_date as date) as as_of_date,
    from members

)

select * from final
