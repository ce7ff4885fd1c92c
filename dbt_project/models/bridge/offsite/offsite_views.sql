with

people as (

    select * from {{ ref('int_offsite_people') }}

),

person_visitors as (

    select * from {{ ref('int_person_visitors') }}

),

events as (

    select *
    from {{ ref('int_visitor_events') }}
    where not is_owned_site

),

final as (

    select
        people.person_number,
        events.event_day as viewed_on,
        coalesce(events.content_category, '(none)') as content,
        count(*) as views,
    from events
    inner join person_visitors
        on events.visitor_id = person_visitors.visitor_id
    inner join people
        on person_visitors.customer_id = people.customer_id
    group by all

)

select * from final
