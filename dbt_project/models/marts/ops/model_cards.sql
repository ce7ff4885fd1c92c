with

model_cards as (

    select * from {{ source('ml', 'model_cards') }}

),

final as (

    select
        model,
        model_version,
        task,
        metric,
        baseline_name,
        verdict,
        note,
        value,
        low,
        high,
        baseline,
        as_of_date,
    from model_cards

)

select * from final
