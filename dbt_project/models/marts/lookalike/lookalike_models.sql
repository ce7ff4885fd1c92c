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
        tests,
        drifted_feature,
        verdict,
        reason,
        curve,
        seed_size,
        set_aside_size,
        candidate_size,
        features,
        refused_features,
        joined_size,
        base_rate,
        auc,
        lift_at_1,
        lift_at_1_low,
        lift_at_1_high,
        lift_at_5,
        lift_at_5_low,
        lift_at_5_high,
        lift_at_10,
        lift_at_10_low,
        lift_at_10_high,
        activity_lift_at_5,
        gain_over_activity,
        gain_over_activity_low,
        gain_over_activity_high,
        trait_weights_lift_at_5,
        gain_over_trait_weights,
        gain_over_trait_weights_low,
        gain_over_trait_weights_high,
        calibration_error,
        later_lift_at_5,
        later_lift_at_5_low,
        later_lift_at_5_high,
        later_activity_lift_at_5,
        member_overlap,
        largest_drift,
        as_of_date,
        compared_with,
    from models

)

select * from final
