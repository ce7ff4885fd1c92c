-- Who can be offered more now: matched customers who bought the one category lately and the other not at all in the
-- time that is looked at.
with

offers as (

    select * from {{ source('ml', 'upsell_offers') }}

),

person_purchases as (

    select * from {{ ref('int_person_purchases') }}

),

recent_buyers as (

    select distinct
        customer_id,
        category,
    from person_purchases
    where purchased_on > {{ as_of_date() }} - {{ var('offsite_recent_days', 28) }}

),

buyers as (

    select distinct
        customer_id,
        category,
    from person_purchases

),

pairs as (

    select distinct
        bought_category,
        offer_category,
    from offers

),

candidates as (

    select
        pairs.bought_category,
        pairs.offer_category,
        recent_buyers.customer_id,
    from pairs
    inner join recent_buyers
        on pairs.bought_category = recent_buyers.category

),

final as (

    select
        candidates.bought_category,
        candidates.offer_category,
        count(*) as customers,
    from candidates
    anti join buyers
        on
            candidates.customer_id = buyers.customer_id
            and candidates.offer_category = buyers.category
    group by all

)

select * from final
