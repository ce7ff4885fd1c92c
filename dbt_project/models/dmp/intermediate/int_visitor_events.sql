-- Behaviour is kept in detail for as long as privacy.yml allows; visitors and traits live by their own terms.

with

consented_events as (

    {{ consented_events(since=end_of_day(as_of_date() ~ ' - ' ~ var('event_days', 60))) | indent(4) }}

),

final as (

    select
        visitor_id,
        platform,
        site,
        content_category,
        content_category_id,
        content_category_tier_1,
        device,
        place,
        is_owned_site,
        event_day,
        hour,
        seen_at,
    from consented_events

)

select * from final
