with

recommendations as (

    select * from {{ source('ml', 'product_recommendations') }}

),

final as (

    select
        customer_id,
        product_id,
        product_name,
        category,
        reason,
        recommender,
        model_version,
        cast(rank as bigint) as rank,
        cast(score as double) as score,
        is_new,
        cast(as_of_date as date) as as_of_date,
    from recommendations

)

select * from final
