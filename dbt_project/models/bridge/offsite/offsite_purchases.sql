with

people as (

    select * from {{ ref('int_offsite_people') }}

),

purchases as (

    select * from {{ ref('int_person_purchases') }}

),

final as (

    select
        people.person_number,
        purchases.category,
        min(purchases.purchased_on) filter (
            where
                purchases.is_fresh
                and purchases.purchased_on > {{ as_of_date() }} - {{ var('event_days', 60) }}
        ) as fresh_on,
    from purchases
    inner join people
        on purchases.customer_id = people.customer_id
    group by all

)

select * from final
