-- Who is both a customer and seen elsewhere. The number is all that the statistics know of a person: it follows a keyed
-- hash, means nothing outside this run, and bounds how many are looked at.

with

person_visitors as (

    select * from {{ ref('int_person_visitors') }}

),

offsite_visitors as (

    select distinct visitor_id
    from {{ ref('int_visitor_events') }}
    where not is_owned_site

),

seen_customers as (

    select distinct person_visitors.customer_id
    from person_visitors
    inner join offsite_visitors
        on person_visitors.visitor_id = offsite_visitors.visitor_id

),

numbered as (

    select
        customer_id,
        row_number() over (order by {{ person_key('customer_id', 'offsite') }}) - 1 as person_number,
    from seen_customers

),

final as (

    select
        person_number,
        customer_id,
    from numbered
    where person_number < {{ var('offsite_people', 200000) }}

)

select * from final
