-- How often the people behind visitors were met off-site within the window. Of one band are people who are about
-- equally active.

with

events as (

    {{ events_of_placements() | indent(4) }}

),

reach_visitors as (

    select * from {{ ref('int_reach_visitors') }}

),

visitor_events as (

    select
        visitor_id,
        count(*) as events,
    from events
    group by visitor_id

),

person_events as (

    select
        reach_visitors.person_hash,
        cast(sum(visitor_events.events) as bigint) as events,
    from visitor_events
    inner join reach_visitors
        on visitor_events.visitor_id = reach_visitors.visitor_id
    group by reach_visitors.person_hash

),

final as (

    select
        person_hash,
        events,
        case
            when events <= 2 then events
            when events <= 5 then 3
            when events <= 10 then 6
            when events <= 20 then 11
            when events <= 50 then 21
            else 51
        end as band,
    from person_events

)

select * from final
