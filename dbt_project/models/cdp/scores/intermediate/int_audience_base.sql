with

customers as (

    select * from {{ ref('customers') }}

),

customer_features as (

    select * from {{ ref('customer_features') }}

),

customer_scores as (

    select
        customer_id,
        map_from_entries(list({'name': score, 'value': value} order by score)) as scores,
    from {{ ref('customer_scores') }}
    group by customer_id

),

customer_segments as (

    select
        customer_id,
        list(segment_id order by segment_id) as segment_ids,
    from {{ ref('customer_segments') }}
    group by customer_id

),

final as (

    select
        customers.*,
        customer_features.* exclude (customer_id),
        coalesce(customer_scores.scores, cast(map {} as map(varchar, double))) as scores,  -- noqa: LT01
        coalesce(customer_segments.segment_ids, cast([] as varchar[])) as segment_ids,
    from customers
    left join customer_features
        on customers.customer_id = customer_features.customer_id
    left join customer_scores
        on customers.customer_id = customer_scores.customer_id
    left join customer_segments
        on customers.customer_id = customer_segments.customer_id

)

select * from final
