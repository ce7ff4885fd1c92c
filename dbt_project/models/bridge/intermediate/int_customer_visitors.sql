-- The match of the two sides. A device that more than ten persons use is nobody's, and a person on more than a hundred
-- devices is a till or a call centre's log-in, not a person. A match ends when the device has not been seen with the
-- person for as long as a visitor may be idle. The device's owner granted advertising or would be no visitor; a person
-- who refused it elsewhere, by e-mail or at the counter, is not matched either.

with

claims as (

    select * from {{ ref('int_visitor_claims') }}

),

consents as (

    select * from {{ ref('int_customer_consents') }}

),

refusing_customers as (

    select distinct customer_id
    from consents
    where
        purpose in ({{ advertising_purpose_list() }})
        and not is_granted

),

final as (

    select
        claims.customer_id,
        claims.visitor_id,
        claims.person_key,
        claims.id_type,
        claims.first_seen_at,
        claims.last_seen_at,
        claims.expires_at,
    from claims
    anti join refusing_customers
        on claims.customer_id = refusing_customers.customer_id
    where
        claims.persons_of_visitor <= {{ max_persons_per_visitor() }}
        and claims.visitors_of_person <= {{ max_visitors_per_person() }}
        and claims.expires_at > {{ end_of_day() }}

)

select * from final
