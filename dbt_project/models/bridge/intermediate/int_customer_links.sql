-- Every way in which a customer can be known as a visitor, whether or not such a visitor exists: by the identifiers of
-- a device on which they were logged in, by the hash of their e-mail address that a device said, and by that hash
-- itself, where other parties speak of it. Each is exact; nothing here is guessed.

with

customer_identifiers as (

    select * from {{ ref('customer_identifiers') }}

),

hashed_email_devices as (

    select * from {{ ref('int_hashed_email_devices') }}

),

final as (

    select
        customer_id,
        {{ visitor_id('id_type', 'id_value') }} as visitor_id,
        id_type,
        first_seen_at,
        last_seen_at,
    from customer_identifiers
    where
        id_type in ('{{ visitor_id_types() | join("', '") }}')
        and {{ usable_visitor_identifier('id_value') }} is not null

    union all

    select
        customer_id,
        {{ visitor_id("'hashed_email'", hashed_email('id_value')) }} as visitor_id,
        'hashed_email' as id_type,
        first_seen_at,
        last_seen_at,
    from customer_identifiers
    where id_type = 'email'

    union all

    select
        customer_id,
        visitor_id,
        'hashed_email' as id_type,
        first_seen_at,
        last_seen_at,
    from hashed_email_devices

)

select * from final
