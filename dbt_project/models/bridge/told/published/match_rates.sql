with

told as (

    select * from {{ source('ml', 'match_rates') }}

),

final as (

    select
        id_type,
        outcome,
        customers,
        all_customers,
        share,
        customers is null as suppressed,
        is_held_back,
        as_of_date,
        counted_on,
    from told

)

select * from final
