-- Devices that said the hash of an e-mail address with what they did, as publishers and tag managers send it, and the
-- customer of that address. The hash is compared here and goes no further.

with

events as (

    select *
    from {{ ref('stg_events') }}
    where
        not is_bot
        and occurred_at < {{ end_of_day() }}
        and (
            {{ may_hold_hashed_email('traits') }}
            or {{ may_hold_hashed_email('properties') }}
        )

),

customer_emails as (

    select
        customer_id,
        {{ hashed_email('id_value') }} as email_hash,
    from {{ ref('customer_identifiers') }}
    where id_type = 'email'

),

stated as (

    select
        {{ visitor_identifier_type('events') }} as id_type,
        {{ visitor_identifier_value('events') }} as id_value,
        coalesce({{ stated_hashed_email('traits') }}, {{ stated_hashed_email('properties') }}) as email_hash,
        occurred_at,
    from events

),

devices as (

    select
        id_type,
        id_value,
        email_hash,
        min(occurred_at) as first_seen_at,
        max(occurred_at) as last_seen_at,
    from stated
    where
        id_value is not null
        and email_hash is not null
    group by all

),

final as (

    select
        customer_emails.customer_id,
        {{ visitor_id('devices.id_type', 'devices.id_value') }} as visitor_id,
        devices.first_seen_at,
        devices.last_seen_at,
    from devices
    inner join customer_emails
        on devices.email_hash = customer_emails.email_hash

)

select * from final
