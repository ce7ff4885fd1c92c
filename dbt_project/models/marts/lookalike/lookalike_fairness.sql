{{ config(group='audience', access='protected') }}

with

fairness as (

    select * from {{ source('ml', 'lookalike_fairness') }}

),

final as (

    select
        audience_id,
        attribute,
        group_name,
        candidates,
        candidate_share,
        selected_share,
        selection_ratio,
        proxy_auc,
        score_auc,
        is_flagged,
        as_of_date,
    from fairness

)

select * from final
