with

events as (

    select *
    from {{ ref('int_visitor_events') }}
    where not is_owned_site

),

visitors as (

    select visitor_id from {{ ref('visitors') }}

),

final as (

    select
        events.visitor_id,
        count(*) as events,
        count(*) filter (where events.event_day <= {{ lookalike_test_day() }}) as events_before,
        count(distinct events.event_day) as active_days,
        max(events.seen_at) as last_seen_at,
    from events
    inner join visitors
        on events.visitor_id = visitors.visitor_id
    group by events.visitor_id

)

select * from final
