with

people as (

    select * from {{ ref('int_offsite_people') }}

),

customer_orders as (

    select * from {{ ref('int_customer_orders') }}
    where
        is_valid
        and ordered_at < {{ end_of_day() }}

),

order_days as (

    select distinct
        people.person_number,
        cast(customer_orders.ordered_at as date) as ordered_on,
    from customer_orders
    inner join people
        on customer_orders.customer_id = people.customer_id

),

paced as (

    select
        person_number,
        ordered_on,
        date_diff(
            'day', lag(ordered_on) over (partition by person_number order by ordered_on), ordered_on
        ) as days_since_order,
    from order_days

),

final as (

    select
        person_number,
        ordered_on,
        days_since_order,
    from paced
    where ordered_on > {{ as_of_date() }} - {{ var('event_days', 60) }}

)

select * from final
