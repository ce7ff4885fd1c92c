{{ config(materialized='table_in_parts', meta={'in_parts_of': 'customer_scores', 'at_a_time': 'values_at_a_time'}) }}

with

customers as (

    select * from {{ ref('customers') }}
    where {{ in_part('customer_id') }}

),

customer_features as (

    select * from {{ ref('customer_features') }}
    where {{ in_part('customer_id') }}

),

customer_scores as (

    select
        customer_id,
        map_from_entries(list_sort(list({'name': score, 'value': value}))) as scores,
    from {{ ref('customer_scores') }}
    where {{ in_part('customer_id') }}
    group by customer_id

),

customer_segments as (

    select
        customer_id,
        list_sort(list(segment_id)) as segment_ids,
    from {{ ref('customer_segments') }}
    where {{ in_part('customer_id') }}
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
