{{ config(group='audience', access='protected') }}

with

traits as (

    select * from {{ source('ml', 'lookalike_traits') }}

),

final as (

    select
        audience_id,
        feature,
        rank,
        seed_share,
        candidate_share,
        ratio,
        as_of_date,
    from traits

)

select * from final
