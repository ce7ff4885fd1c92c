with

consents as (

    select * from {{ ref('stg_consents') }}
    where effective_at < {{ end_of_day() }}

),

messages as (

    select * from {{ ref('stg_messages') }}
    where
        action = 'unsubscribed'
        and occurred_at < {{ end_of_day() }}

),

signed_in_consents as (

    select * from {{ ref('int_signed_in_consents') }}

),

names as (

    select unnest([{{ names_of_purposes() }}]) as name

),

identified as (

    select
        unnest([
            {'id_type': 'email', 'id_value': email},
            {'id_type': 'phone', 'id_value': phone},
            {'id_type': 'customer_number', 'id_value': customer_number},
            {'id_type': 'loyalty_number', 'id_value': loyalty_number},
            {'id_type': 'user_id', 'id_value': user_id}
        ]) as identifier,
        -- A message that does not say how it went went by mail.
        case when coalesce(contains(lower(medium), 'mail'), true) then 'email' else lower(medium) end as purpose,
        channel,
        occurred_at,
    from messages

),

final as (

    select
        id_type,
        id_value,
        purpose,
        channel,
        status,
        effective_at,
    from consents

    union all

    select
        identified.identifier.id_type,
        identified.identifier.id_value,
        names.name.name as purpose,
        identified.channel,
        'denied' as status,
        identified.occurred_at as effective_at,
    from identified
    inner join names
        on identified.purpose = names.name.purpose
    where identified.identifier.id_value is not null

    union all

    select
        'user_id' as id_type,
        user_id as id_value,
        purpose,
        channel,
        status,
        effective_at,
    from signed_in_consents

)

select * from final
