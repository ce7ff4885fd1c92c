-- How many people were met at each placement, apart by how active they are.

with

activity as (

    select * from {{ ref('int_person_activity') }}

),

placements as (

    select * from {{ ref('int_placements') }}

),

person_placements as (

    select * from {{ ref('int_person_placements') }}

),

bands as (

    select
        band,
        count(*) as people,
    from activity
    group by band

),

met as (

    select
        person_placements.placement_id,
        activity.band,
        count(*) as people,
    from person_placements
    inner join activity
        on person_placements.person_hash = activity.person_hash
    group by
        person_placements.placement_id,
        activity.band

),

large_enough as (

    select placement_id
    from met
    group by placement_id
    having sum(people) >= {{ var('minimum_cell') }}

),

final as (

    select
        placements.placement_id,
        met.band,
        placements.dimension,
        placements.value,
        placements.within_site,
        placements.within_category,
        met.people,
        bands.people as band_people,
    from met
    inner join large_enough
        on met.placement_id = large_enough.placement_id
    inner join placements
        on met.placement_id = placements.placement_id
    inner join bands
        on met.band = bands.band

)

select * from final
