with

snapshots as (

    select * from {{ ref('customer_feature_snapshots') }}
    where is_current

),

final as (

    select * exclude (is_current, bought_in_horizon)
    from snapshots

)

select * from final
