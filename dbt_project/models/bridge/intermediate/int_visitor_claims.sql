-- Which customer has been seen on which visitor's device, before any rule is applied. Only visitors who granted
-- advertising and are still alive exist in `visitors`, so nobody else comes across.

with

customer_identifiers as (

    select * from {{ ref('customer_identifiers') }}

),

visitors as (

    select
        visitor_id,
        expires_at,
    from {{ ref('visitors') }}

),

pseudonymous_identifiers as (

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

),

claims as (

    select
        pseudonymous_identifiers.*,
        least(
            pseudonymous_identifiers.last_seen_at + interval {{ var('visitor_idle_days') }} day,
            visitors.expires_at
        ) as expires_at,
        count(*) over (partition by pseudonymous_identifiers.visitor_id) as persons_of_visitor,
    from pseudonymous_identifiers
    inner join visitors
        on pseudonymous_identifiers.visitor_id = visitors.visitor_id

),

final as (

    select
        customer_id,
        visitor_id,
        {{ person_key('customer_id') }} as person_key,
        id_type,
        persons_of_visitor,
        count(*) filter (where persons_of_visitor <= {{ max_persons_per_visitor() }})
            over (partition by customer_id) as visitors_of_person,
        first_seen_at,
        last_seen_at,
        expires_at,
    from claims

)

select * from final
