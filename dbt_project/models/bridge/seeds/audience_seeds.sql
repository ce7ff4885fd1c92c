-- The visitors behind the members of each audience that asks for look-alikes. Nothing of the customer comes along but
-- a key that keeps one person's devices together.

with

membership as (

    select * from {{ ref('int_audience_membership') }}

),

audience_rules as (

    select * from {{ ref('int_audience_rules') }}

),

audience_sizes as (

    select * from {{ ref('int_audience_sizes') }}

),

customer_visitors as (

    select * from {{ ref('int_customer_visitors') }}

),

known_visitors as (

    select * from {{ ref('int_known_visitors') }}

),

node_customers as (

    select * from {{ ref('int_node_customers') }}

),

loose_customers as (

    select distinct
        customer_id,
        loose_id,
    from node_customers

),

loosely_same as (

    select
        one.customer_id,
        other.customer_id as same_customer_id,
    from loose_customers as one
    inner join loose_customers as other
        on one.loose_id = other.loose_id

),

seeded_members as (

    select
        membership.*,
        audience_rules.seed_tier,
    from membership
    inner join audience_rules
        on membership.audience_id = audience_rules.audience_id
    inner join audience_sizes
        on membership.audience_id = audience_sizes.audience_id
    where
        audience_rules.has_lookalike
        and audience_sizes.is_large_enough

),

seed_customers as (

    select
        audience_id,
        member_id as customer_id,
    from seeded_members
    where side = 'cdp'

    union

    select
        seeded_members.audience_id,
        loosely_same.same_customer_id as customer_id,
    from seeded_members
    inner join loosely_same
        on seeded_members.member_id = loosely_same.customer_id
    where
        seeded_members.side = 'cdp'
        and seeded_members.seed_tier = 'loose'

),

seed_visitors as (

    select
        seed_customers.audience_id,
        customer_visitors.visitor_id,
        cast(min(customer_visitors.first_seen_at) as date) as known_since,
    from seed_customers
    inner join customer_visitors
        on seed_customers.customer_id = customer_visitors.customer_id
    group by seed_customers.audience_id, customer_visitors.visitor_id

    union all

    select
        audience_id,
        member_id as visitor_id,
        cast(null as date) as known_since,
    from seeded_members
    where side = 'dmp'

),

final as (

    select
        seed_visitors.audience_id,
        seed_visitors.visitor_id,
        coalesce(known_visitors.person_key, {{ person_key('seed_visitors.visitor_id') }}) as person_key,
        seed_visitors.known_since,
    from seed_visitors
    left join known_visitors
        on seed_visitors.visitor_id = known_visitors.visitor_id

)

select * from final
