with

scores as (

    select * from {{ source('ml', 'customer_scores') }}

),

final as (

    select
        customer_id,
        score,
        model_version,
        cast(value as double) as value,
        cast(percentile as double) as percentile,
        cast(low as double) as low,
        cast(high as double) as high,
        cast(as_of_date as date) as as_of_date,
    from scores

)

select * from final
