{{ config(group='audience', access='protected') }}

with

models as (

    select * from {{ source('ml', 'lookalike_models') }}

),

final as (

    select
        audience_id,
        model_version,
        algorithm,
        verdict,
        reason,
        curve,
        seed_size,
        candidate_size,
        features,
        auc,
        lift_at_1,
        lift_at_5,
        lift_at_5_low,
        lift_at_5_high,
        lift_at_10,
        activity_lift_at_5,
        as_of_date,
    from models

)

select * from final
