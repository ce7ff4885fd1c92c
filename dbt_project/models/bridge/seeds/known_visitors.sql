with

known_visitors as (

    select * from {{ ref('int_known_visitors') }}

),

final as (

    select
        visitor_id,
        person_key,
    from known_visitors

)

select * from final
