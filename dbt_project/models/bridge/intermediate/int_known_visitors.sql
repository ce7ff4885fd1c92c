-- Every visitor who is somebody's device, whatever the rules of the match say, with the person seen on it last: known
-- visitors are never strangers to find, and all devices of a person stay together in an evaluation.

with

claims as (

    select * from {{ ref('int_visitor_claims') }}

),

latest_claims as (

    select
        visitor_id,
        max({'last_seen_at': last_seen_at, 'customer_id': customer_id, 'person_key': person_key}) as latest,
    from claims
    group by visitor_id

),

final as (

    select
        visitor_id,
        latest.customer_id as customer_id,
        latest.person_key as person_key,
    from latest_claims

)

select * from final
