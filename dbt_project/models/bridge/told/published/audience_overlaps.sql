with

told as (

    select * from {{ source('ml', 'audience_overlaps') }}

),

final as (

    select
        unit,
        audience_a,
        part_a,
        audience_b,
        part_b,
        method,
        suppressed_because,
        people_a,
        people_b,
        overlap,
        only_a,
        only_b,
        union_people,
        share_of_a,
        share_of_b,
        jaccard,
        error,
        is_held_back,
        as_of_date,
        counted_on,
    from told

)

select * from final
