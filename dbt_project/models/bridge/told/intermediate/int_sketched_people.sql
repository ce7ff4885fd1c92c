with

sketches as (

    select * from {{ ref('int_reach_sketches') }}

),

activity as (

    select
        'visitors' as unit,
        person_hash,
        band,
    from {{ ref('int_person_activity') }}

),

people as (

    select distinct
        unit,
        person_hash,
    from sketches

),

final as (

    select
        people.unit,
        people.person_hash,
        cast(row_number() over (order by people.unit, people.person_hash) as integer) as person,
        activity.band,
    from people
    left join activity
        on
            people.unit = activity.unit
            and people.person_hash = activity.person_hash

)

select * from final
