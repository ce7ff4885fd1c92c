-- How large each set is and what it adds: members to all other audiences, look-alikes to the members whom they
-- resemble.

with

sets as (

    select * from {{ ref('int_reach_sets') }}

),

members as (

    select * from {{ ref('int_reach_members') }}

),

activity as (

    select * from {{ ref('int_person_activity') }}

),

customers as (

    select customer_id from {{ ref('customers') }}

),

reach_visitors as (

    select * from {{ ref('int_reach_visitors') }}

),

populations as (

    select
        'customers' as unit,
        count(*) as population,
    from customers

    union all

    select
        'visitors' as unit,
        count(distinct person_hash) as population,
    from reach_visitors

),

everybody as (

    select
        count(*) filter (where events >= 1) as met_1_or_more,
        count(*) filter (where events >= 2) as met_2_or_more,
        count(*) filter (where events >= 3) as met_3_or_more,
        count(*) filter (where events >= 6) as met_6_or_more,
    from activity

),

people_of_one_audience as (

    select
        members.unit,
        members.person_hash,
        min(members.set_id) as set_id,
    from members
    inner join sets
        on members.set_id = sets.set_id
    where sets.part = 'members'
    group by
        members.unit,
        members.person_hash
    having count(*) = 1

),

lookalike_sets as (

    select
        lookalikes.set_id,
        seeds.set_id as seed_set_id,
    from sets as lookalikes
    inner join sets as seeds
        on
            lookalikes.audience_id = seeds.audience_id
            and lookalikes.unit = seeds.unit
    where
        lookalikes.part = 'lookalikes'
        and seeds.part = 'members'

),

known_lookalikes as (

    select
        lookalike_sets.set_id,
        count(*) as people,
    from lookalike_sets
    inner join members as lookalikes
        on lookalike_sets.set_id = lookalikes.set_id
    inner join members as seeds
        on
            lookalike_sets.seed_set_id = seeds.set_id
            and lookalikes.person_hash = seeds.person_hash
    group by lookalike_sets.set_id

),

counted as (

    select
        members.set_id,
        count(*) as people,
        cast(coalesce(sum(activity.events), 0) as bigint) as events,
        count(*) filter (where activity.events >= 1) as met_1_or_more,
        count(*) filter (where activity.events >= 2) as met_2_or_more,
        count(*) filter (where activity.events >= 3) as met_3_or_more,
        count(*) filter (where activity.events >= 6) as met_6_or_more,
    from members
    left join activity
        on members.person_hash = activity.person_hash
    group by members.set_id

),

counted_alone as (

    select
        set_id,
        count(*) as people,
    from people_of_one_audience
    group by set_id

),

final as (

    select
        sets.set_id,
        sets.unit,
        sets.audience_id,
        sets.part,
        populations.population,
        counted.people,
        case
            when sets.part = 'lookalikes' then counted.people - coalesce(known_lookalikes.people, 0)
            else coalesce(counted_alone.people, 0)
        end as incremental_people,
        counted.events,
        counted.met_1_or_more,
        counted.met_2_or_more,
        counted.met_3_or_more,
        counted.met_6_or_more,
        everybody.met_1_or_more as everybody_met_1_or_more,
        everybody.met_2_or_more as everybody_met_2_or_more,
        everybody.met_3_or_more as everybody_met_3_or_more,
        everybody.met_6_or_more as everybody_met_6_or_more,
        {{ sketch_threshold('counted.people', var('sketch_size')) | indent(8) }} as threshold,
    from sets
    cross join everybody
    inner join counted
        on sets.set_id = counted.set_id
    inner join populations
        on sets.unit = populations.unit
    left join counted_alone
        on sets.set_id = counted_alone.set_id
    left join known_lookalikes
        on sets.set_id = known_lookalikes.set_id

)

select * from final
