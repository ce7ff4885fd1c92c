with

sets as (

    select * from {{ ref('int_reach_sets') }}

),

membership as not materialized (

    select * from {{ ref('int_audience_membership') }}

),

customer_visitors as (

    select * from {{ ref('int_customer_visitors') }}

),

lookalike_members as (

    select * from {{ ref('lookalike_members') }}

),

reach_visitors as (

    select * from {{ ref('int_reach_visitors') }}

),

customer_members as (

    select
        sets.set_id,
        membership.member_id as customer_id,
    from membership
    inner join sets
        on membership.audience_id = sets.audience_id
    where
        membership.side = 'cdp'
        and sets.unit = 'customers'

),

customers as (

    select distinct customer_id from customer_members

),

customer_hashes as (

    select
        customer_id,
        {{ sketch_hash("substr(" ~ person_key('customer_id') ~ ", 2)") }} as person_hash,
    from customers

),

visitor_members as (

    select
        audience_id,
        'members' as part,
        member_id as visitor_id,
    from membership
    where side = 'dmp'

    union all

    select
        membership.audience_id,
        'members' as part,
        customer_visitors.visitor_id,
    from membership
    inner join customer_visitors
        on membership.member_id = customer_visitors.customer_id
    where membership.side = 'cdp'

    union all

    select
        audience_id,
        'lookalikes' as part,
        visitor_id,
    from lookalike_members

),

people_behind_visitors as (

    select distinct
        sets.set_id,
        reach_visitors.person_hash,
    from visitor_members
    inner join sets
        on
            visitor_members.audience_id = sets.audience_id
            and visitor_members.part = sets.part
    inner join reach_visitors
        on visitor_members.visitor_id = reach_visitors.visitor_id
    where sets.unit = 'visitors'

),

final as (

    select
        'customers' as unit,
        customer_members.set_id,
        customer_hashes.person_hash,
    from customer_members
    inner join customer_hashes
        on customer_members.customer_id = customer_hashes.customer_id

    union all

    select
        'visitors' as unit,
        set_id,
        person_hash,
    from people_behind_visitors

)

select * from final
