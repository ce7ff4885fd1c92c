-- Behaviour is kept in detail for as long as privacy.yml allows; visitors and traits live by their own terms.

with

consented_events as (

    select * from {{ ref('int_consented_events') }}

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
    where event_day > {{ as_of_date() }} - {{ var('event_days', 60) }}

)

select * from final
