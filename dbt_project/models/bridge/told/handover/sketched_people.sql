-- Who of the sketches is in which set. People are numbered anew each day; a number says nothing but who is the same.

with

sketches as (

    select * from {{ ref('int_reach_sketches') }}

),

people as (

    select * from {{ ref('int_sketched_people') }}

),

final as (

    select
        people.person,
        sketches.set_id,
        people.band,
    from sketches
    inner join people
        on
            sketches.unit = people.unit
            and sketches.person_hash = people.person_hash

)

select * from final
