with

segments as (

    select * from {{ source('ml', 'segments') }}

),

final as (

    select
        segment_id,
        scheme,
        name,
        description,
        differences,
        model_version,
        cast(size as bigint) as size,
        cast(size_before as bigint) as size_before,
        cast(share as double) as share,
        cast(trend as double) as trend,
        cast(mean_recency_days as double) as mean_recency_days,
        cast(mean_orders as double) as mean_orders,
        cast(mean_spend as double) as mean_spend,
        cast(mean_spend_before as double) as mean_spend_before,
        cast(mean_expected_value as double) as mean_expected_value,
        cast(compared_with as date) as compared_with,
        cast(as_of_date as date) as as_of_date,
    from segments

)

select * from final
