-- How many people of each set's sketch were met at each placement, beside how many of everybody. `expected_share` is
-- the share that would have been met if people met as often as those of the set were met there as everybody of the
-- kind is.

with

sketches as (

    select *
    from {{ ref('int_reach_sketches') }}
    where unit = 'visitors'

),

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

met_by_band as (

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

met as (

    select
        placement_id,
        cast(sum(people) as bigint) as people,
    from met_by_band
    group by placement_id
    having sum(people) >= {{ var('minimum_cell') }}

),

sketched as (

    select
        sketches.set_id,
        activity.band,
        min(sketches.threshold) as threshold,
        count(*) as found,
    from sketches
    left join activity
        on sketches.person_hash = activity.person_hash
    group by
        sketches.set_id,
        activity.band

),

sketched_sets as (

    select
        set_id,
        min(threshold) as threshold,
        cast(sum(found) as bigint) as found,
    from sketched
    group by set_id

),

expected as (

    select
        sketched.set_id,
        met_by_band.placement_id,
        sum(cast(sketched.found as double) * met_by_band.people / bands.people order by sketched.band) as found,
    from sketched
    inner join met_by_band
        on sketched.band = met_by_band.band
    inner join bands
        on sketched.band = bands.band
    group by
        sketched.set_id,
        met_by_band.placement_id

),

found as (

    select
        sketches.set_id,
        person_placements.placement_id,
        count(*) as found,
    from sketches
    inner join person_placements
        on sketches.person_hash = person_placements.person_hash
    group by
        sketches.set_id,
        person_placements.placement_id

),

final as (

    select
        found.set_id,
        found.placement_id,
        placements.dimension,
        placements.value,
        placements.within_site,
        placements.within_category,
        met.people as population_people,
        found.found,
        sketched_sets.threshold,
        expected.found / sketched_sets.found as expected_share,
    from found
    inner join met
        on found.placement_id = met.placement_id
    inner join placements
        on found.placement_id = placements.placement_id
    inner join sketched_sets
        on found.set_id = sketched_sets.set_id
    inner join expected
        on
            found.set_id = expected.set_id
            and found.placement_id = expected.placement_id

)

select * from final
