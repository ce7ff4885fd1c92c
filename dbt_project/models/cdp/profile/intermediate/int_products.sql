with

products as (

    select * from {{ ref('stg_products') }}

    union all by name

    select * from {{ ref('stg_event_products') }}

),

final as (

    select
        product_id,
        name as product_name,
        brand,
        category,
        price as price_amount,
    from products
    qualify row_number() over (partition by product_id order by landed_on desc, channel) = 1

)

select * from final
