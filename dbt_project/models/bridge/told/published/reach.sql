with

told as (

    select * from {{ source('ml', 'reach') }}

),

final as (

    select
        unit,
        audience_id,
        part,
        incremental_over,
        method,
        suppressed_because,
        people,
        population,
        share,
        incremental_people,
        incremental_share,
        mean_events,
        met_1_or_more,
        met_2_or_more,
        met_3_or_more,
        met_6_or_more,
        error,
        is_held_back,
        as_of_date,
        counted_on,
    from told

)

select * from final
