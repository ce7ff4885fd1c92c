-- What the members of audiences that are sent anywhere have said, by the names of consent records. A visitor is asked
-- for advertising as a whole: who granted it granted all its names. What is unknown is no refusal.

with

members as (

    select * from {{ ref('int_sent_members') }}

),

customer_consents as (

    select * from {{ ref('int_customer_consents') }}

),

visitor_consents as (

    select * from {{ ref('int_visitor_consents') }}

),

of_customers as (

    select
        members.side,
        members.member_id,
        customer_consents.purpose,
        customer_consents.is_granted,
        customer_consents.effective_at,
    from members
    inner join customer_consents
        on members.member_id = customer_consents.customer_id
    where
        members.side = 'cdp'
        and customer_consents.status <> 'unknown'

),

of_visitors as (

    select
        members.side,
        members.member_id,
        unnest([{{ advertising_purpose_list() }}]) as purpose,
        visitor_consents.is_granted,
        visitor_consents.stated_at as effective_at,
    from members
    inner join visitor_consents
        on members.member_id = visitor_consents.visitor_id
    where members.side = 'dmp'

),

final as (

    select * from of_customers

    union all

    select * from of_visitors

)

select * from final
