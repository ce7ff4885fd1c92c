with

snapshots as (

    select * from {{ ref('customer_feature_snapshots') }}
    where is_current

),

-- What person records say is in `customers`; here it would be said twice.
final as (

    select * exclude (attributes, stage_then, is_current, bought_in_horizon, value_in_horizon)
    from snapshots

)

select * from final
