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

sizes as (

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

),

sized as (

    select
        offers.*,
        coalesce(sizes.customers, 0) as customers,
        coalesce(sizes.customers, 0) < {{ var('minimum_cell', 50) }} as suppressed,
    from offers
    left join sizes
        on
            offers.bought_category = sizes.bought_category
            and offers.offer_category = sizes.offer_category

),

final as (

    select
        bought_category,
        offer_category,
        content_category,
        reason,
        model_version,
        cast(rank as bigint) as rank,
        cast(window_days as bigint) as window_days,
        cast(case when not suppressed then customers end as bigint) as customers,
        cast(round(did, 4) as double) as did,
        cast(round(low, 4) as double) as low,
        cast(round(high, 4) as double) as high,
        cast(round(multiplier, 4) as double) as multiplier,
        cast(round(lift, 4) as double) as lift,
        cast(round(lift_low, 4) as double) as lift_low,
        cast(round(lift_high, 4) as double) as lift_high,
        suppressed,
        cast(as_of_date as date) as as_of_date,
    from sized

)

select * from final
