with

offers as (

    select * from {{ source('ml', 'upsell_offers') }}

),

offer_sizes as (

    select * from {{ source('ml', 'offer_sizes') }}

),

final as (

    select
        offers.bought_category,
        offers.offer_category,
        offers.content_category,
        offers.reason,
        offers.model_version,
        cast(offers.rank as bigint) as rank,
        cast(offers.window_days as bigint) as window_days,
        offer_sizes.customers,
        cast(round(offers.did, 4) as double) as did,
        cast(round(offers.low, 4) as double) as low,
        cast(round(offers.high, 4) as double) as high,
        cast(round(offers.multiplier, 4) as double) as multiplier,
        cast(round(offers.lift, 4) as double) as lift,
        cast(round(offers.lift_low, 4) as double) as lift_low,
        cast(round(offers.lift_high, 4) as double) as lift_high,
        offer_sizes.customers is null as suppressed,
        coalesce(offer_sizes.is_held_back, false) as is_held_back,
        cast(offers.as_of_date as date) as as_of_date,
        offer_sizes.counted_on,
    from offers
    left join offer_sizes
        on
            offers.bought_category = offer_sizes.bought_category
            and offers.offer_category = offer_sizes.offer_category

)

select * from final
