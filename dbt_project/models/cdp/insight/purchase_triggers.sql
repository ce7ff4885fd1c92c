with

triggers as (

    select * from {{ source('ml', 'purchase_triggers') }}

),

final as (

    select
        trigger_id,
        trigger,
        trigger_kind,
        category,
        stage,
        sales_channel,
        verdict,
        meaning,
        model_version,
        cast(window_days as bigint) as window_days,
        cast(customers as bigint) as customers,
        cast(support as bigint) as support,
        cast(purchases_after as bigint) as purchases_after,
        cast(effect as double) as effect,
        cast(low as double) as low,
        cast(high as double) as high,
        cast(p_value as double) as p_value,
        cast(q_value as double) as q_value,
        cast(placebo as double) as placebo,
        cast(placebo_low as double) as placebo_low,
        cast(placebo_high as double) as placebo_high,
        cast(before_effect as double) as before_effect,
        cast(before_low as double) as before_low,
        cast(before_high as double) as before_high,
        cast(as_of_date as date) as as_of_date,
    from triggers

)

select * from final
