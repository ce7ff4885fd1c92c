with

catalogue as (

    select * from {{ ref('int_products') }}

),

customer_order_lines as (

    select * from {{ ref('int_customer_order_lines') }}
    where
        is_valid
        and product_id is not null
        and ordered_at < {{ end_of_day() }}

),

sales as (

    select
        product_id,
        min(ordered_at) as first_sold_at,
        max(ordered_at) as last_sold_at,
        count(distinct customer_id) as buyers,
    from customer_order_lines
    group by product_id

),

-- A product that was sold and is in no catalogue has an id and nothing else.
final as (

    select
        coalesce(catalogue.product_id, sales.product_id) as product_id,
        catalogue.product_name as name,
        catalogue.brand,
        catalogue.category,
        catalogue.price_amount as price,
        coalesce(sales.buyers, 0) as buyers,
        catalogue.product_id is not null as is_in_catalogue,
        sales.first_sold_at,
        sales.last_sold_at,
    from catalogue
    full outer join sales
        on catalogue.product_id = sales.product_id

)

select * from final
