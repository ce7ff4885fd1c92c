with

events as (

    select * from {{ ref('int_consented_events') }}

),

foreign_traits as (

    select * from {{ ref('int_visitor_traits') }}

),

-- A visitor has many events, and few devices and places.
sightings as (

    select
        visitor_id,
        id_type,
        device,
        place,
        min(seen_at) as first_seen_at,
        max(seen_at) as last_seen_at,
    from events
    group by all

    union all

    select
        visitor_id,
        id_type,
        null as device,
        null as place,
        observed_at as first_seen_at,
        observed_at as last_seen_at,
    from foreign_traits

),

summarised as (

    select
        visitor_id,
        min(id_type) as id_type,
        max({'seen_at': last_seen_at, 'device': device}) filter (where device is not null) as latest_device,
        max({'seen_at': last_seen_at, 'place': place}) filter (where place is not null) as latest_place,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at,
    from sightings
    group by visitor_id

),

final as (

    select
        visitor_id,
        {{ key_epoch() }} as key_epoch,
        id_type,
        coalesce(latest_device.device, 'unknown') as device,
        latest_place.place as place,
        first_seen_at,
        last_seen_at,
        last_seen_at + interval {{ var('visitor_idle_days') }} day as expires_at,
    from summarised
    where last_seen_at + interval {{ var('visitor_idle_days') }} day > {{ end_of_day() }}

)

select * from final
