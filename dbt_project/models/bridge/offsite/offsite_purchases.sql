with

people as (

    select * from {{ ref('int_offsite_people') }}

),

purchases as (

    select * from {{ ref('int_person_purchases') }}

),

dated as (

    select
        *,
        purchased_on > {{ as_of_date() }} - {{ var('event_days', 60) }} as is_detailed,
    from purchases

),

final as (

    select
        people.person_number,
        dated.category,
        min(dated.purchased_on) filter (where dated.is_fresh and dated.is_detailed) as fresh_on,
    from dated
    inner join people
        on dated.customer_id = people.customer_id
    group by all

)

select * from final
