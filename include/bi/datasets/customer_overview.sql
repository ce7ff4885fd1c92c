with

customers as (
    select * from cdp.customers
),

features as (
    select * from cdp.customer_features
),

scores as (
    select
        customer_id,
        max(case when score = 'probability_active' then value end) as probability_active,
        max(case when score = 'purchase_probability' then value end) as purchase_probability,
        max(case when score = 'expected_orders' then value end) as expected_orders,
        max(case when score = 'expected_value' then value end) as expected_value
    from cdp.customer_scores
    group by customer_id
),

named_segments as (
    select
        members.customer_id,
        max(case when members.scheme = 'behaviour' then segments.name end) as behaviour_segment,
        max(case when members.scheme = 'rfm' then segments.name end) as rfm_segment
    from cdp.customer_segments as members
    inner join cdp.segments as segments on members.segment_id = segments.segment_id
    group by members.customer_id
),

final as (
    select
        customers.customer_id,
        customers.lifecycle_stage,
        customers.confidence_tier,
        customers.country,
        customers.region,
        customers.gender,
        named_segments.behaviour_segment,
        named_segments.rfm_segment,
        features.usual_sales_channel,
        features.top_category,
        customers.consent_email,
        customers.consent_advertising,
        features.recency_days,
        features.frequency_orders,
        features.spend_365d,
        features.spend_84d,
        scores.probability_active,
        scores.purchase_probability,
        scores.expected_orders,
        scores.expected_value,
        customers.first_seen_at,
        customers.last_seen_at
    from customers
    left join features on customers.customer_id = features.customer_id
    left join scores on customers.customer_id = scores.customer_id
    left join named_segments on customers.customer_id = named_segments.customer_id
)

select * from final
