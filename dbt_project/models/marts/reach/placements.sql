{{ config(group='audience', access='protected') }}

with

told as (

    select * from {{ source('ml', 'placements') }}

),

final as (

    select
        audience_id,
        part,
        dimension,
        value,
        method,
        rank,
        reach,
        audience_people,
        population_people,
        population,
        share,
        population_share,
        index,
        low,
        high,
        index_at_equal_activity,
        p_value,
        q_value,
        error,
        is_significant,
        is_held_back,
        as_of_date,
        window_start,
        counted_on,
    from told

)

select * from final
