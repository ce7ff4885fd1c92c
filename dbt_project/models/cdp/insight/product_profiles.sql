with

profiles as (

    select * from {{ source('ml', 'product_profiles') }}

),

final as (

    select
        profile_type,
        profile,
        profile_name,
        level,
        product_key,
        product_name,
        category,
        model_version,
        cast(customers as bigint) as customers,
        cast(buyers as bigint) as buyers,
        cast(support as double) as support,
        cast(share as double) as share,
        cast(share_elsewhere as double) as share_elsewhere,
        cast(lift as double) as lift,
        cast(low as double) as low,
        cast(high as double) as high,
        cast(p_value as double) as p_value,
        cast(q_value as double) as q_value,
        cast(spend_share as double) as spend_share,
        cast(spend_lift as double) as spend_lift,
        is_significant,
        cast(window_start as date) as window_start,
        cast(as_of_date as date) as as_of_date,
    from profiles

)

select * from final
