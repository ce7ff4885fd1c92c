with

needs as (

    select * from {{ source('ml', 'stage_needs') }}

),

final as (

    select
        stage,
        need_kind,
        need,
        meaning,
        model_version,
        cast(rank as bigint) as rank,
        cast(in_stage as bigint) as in_stage,
        cast(customers as bigint) as customers,
        cast(with_need as bigint) as with_need,
        cast(share as double) as share,
        cast(share_elsewhere as double) as share_elsewhere,
        cast(lift as double) as lift,
        cast(low as double) as low,
        cast(high as double) as high,
        cast(p_value as double) as p_value,
        cast(q_value as double) as q_value,
        is_significant,
        cast(as_of_date as date) as as_of_date,
    from needs

)

select * from final
