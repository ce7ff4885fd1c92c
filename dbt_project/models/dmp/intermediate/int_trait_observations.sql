-- What the rules found in events, beside what other parties delivered. A day is the finest step of a trait: frequency
-- and recency count in days.

with

events as (

    select * from {{ ref('int_consented_events') }}

),

foreign_traits as (

    select * from {{ ref('int_visitor_traits') }}

),

qualifying_events as (

    select
        visitor_id,
        unnest(trait_ids) as trait_id,
        event_day,
        seen_at,
    from events

),

observations as (

    select
        visitor_id,
        trait_id,
        'rule' as source,
        event_day as observed_on,
        'true' as value,
        seen_at as observed_at,
    from qualifying_events

    union all

    select
        visitor_id,
        trait_id,
        party as source,
        cast(observed_at as date) as observed_on,
        value,
        observed_at,
    from foreign_traits

),

final as (

    select
        visitor_id,
        trait_id,
        source,
        observed_on,
        max({'observed_at': observed_at, 'value': value}).value as value,
        count(*) as observations,
        min(observed_at) as first_observed_at,
        max(observed_at) as last_observed_at,
    from observations
    group by visitor_id, trait_id, source, observed_on

)

select * from final
