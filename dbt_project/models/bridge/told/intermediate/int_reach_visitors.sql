-- Who is behind a visitor: all devices of a known person are one, of a stranger each device is one.

with

visitors as (

    select visitor_id from {{ ref('visitors') }}

),

known_visitors as (

    select * from {{ ref('int_known_visitors') }}

),

final as (

    select
        visitors.visitor_id,
        {{ sketch_hash("coalesce(substr(known_visitors.person_key, 2), visitors.visitor_id)") }} as person_hash,
    from visitors
    left join known_visitors
        on visitors.visitor_id = known_visitors.visitor_id

)

select * from final
