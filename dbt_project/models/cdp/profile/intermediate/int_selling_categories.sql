with

order_lines as (

    select * from {{ ref('int_known_order_lines') }}
    where
        category is not null
        and gone_on is null

),

buyers as (

    select
        category,
        count(distinct customer_id) as customers,
    from order_lines
    group by category

),

final as (

    select category
    from buyers
    where customers > 1
    order by
        customers desc,
        category
    limit {{ var('propensity_categories') }}

)

select * from final
