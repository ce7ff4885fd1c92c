-- Which customer has been seen on which visitor's device, before any rule is applied. Only visitors who granted
-- advertising and are still alive exist in `visitors`, so nobody else comes across.

with

customer_links as (

    select * from {{ ref('int_customer_links') }}

),

visitors as (

    select
        visitor_id,
        expires_at,
    from {{ ref('visitors') }}

),

-- A log-in says more than a hash; which of two identifiers of a device did it makes no difference.
linked as (

    select
        customer_links.customer_id,
        customer_links.visitor_id,
        coalesce(
            min(customer_links.id_type) filter (where customer_links.id_type <> 'hashed_email'), 'hashed_email'
        ) as id_type,
        min(customer_links.first_seen_at) as first_seen_at,
        max(customer_links.last_seen_at) as last_seen_at,
        min(visitors.expires_at) as visitor_expires_at,
    from customer_links
    inner join visitors
        on customer_links.visitor_id = visitors.visitor_id
    group by customer_links.customer_id, customer_links.visitor_id

),

claims as (

    select
        customer_id,
        visitor_id,
        id_type,
        first_seen_at,
        last_seen_at,
        least(last_seen_at + interval {{ var('visitor_idle_days') }} day, visitor_expires_at) as expires_at,
        count(*) over (partition by visitor_id) as persons_of_visitor,
    from linked

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
