-- Of the devices in a match, the one person whose browsing each is taken for: who was seen on it last. What is read on
-- a shared device must not count for two.

with

customer_visitors as (

    select * from {{ ref('int_customer_visitors') }}

),

latest_persons as (

    select
        visitor_id,
        max({'last_seen_at': last_seen_at, 'customer_id': customer_id}) as latest,
    from customer_visitors
    group by visitor_id

),

final as (

    select
        visitor_id,
        latest.customer_id as customer_id,
    from latest_persons

)

select * from final
