-- Where the people of the sketches were met.

with

people as (

    select *
    from {{ ref('int_sketched_people') }}
    where unit = 'visitors'

),

person_placements as (

    select * from {{ ref('int_person_placements') }}

),

final as (

    select
        people.person,
        person_placements.placement_id,
    from person_placements
    inner join people
        on person_placements.person_hash = people.person_hash

)

select * from final
