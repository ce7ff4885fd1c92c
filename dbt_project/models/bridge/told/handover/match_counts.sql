-- How well the bridge works, by the way in which customers can be known as visitors. A customer counts once in each:
-- for the best that came of it.

with

customer_links as (

    select * from {{ ref('int_customer_links') }}

),

visitor_claims as (

    select * from {{ ref('int_visitor_claims') }}

),

customer_visitors as (

    select * from {{ ref('int_customer_visitors') }}

),

links as (

    select distinct
        customer_links.customer_id,
        customer_links.id_type,
        case
            when customer_visitors.visitor_id is not null then 0
            when visitor_claims.visitor_id is null then 5
            when visitor_claims.persons_of_visitor > {{ max_persons_per_visitor() }} then 3
            when visitor_claims.visitors_of_person > {{ max_visitors_per_person() }} then 4
            when visitor_claims.expires_at <= {{ end_of_day() }} then 2
            else 1
        end as outcome_order,
    from customer_links
    left join visitor_claims
        on
            customer_links.customer_id = visitor_claims.customer_id
            and customer_links.visitor_id = visitor_claims.visitor_id
    left join customer_visitors
        on
            customer_links.customer_id = customer_visitors.customer_id
            and customer_links.visitor_id = customer_visitors.visitor_id

),

links_of_each_way as (

    select * from links

    union all by name

    select
        customer_id,
        'any' as id_type,
        outcome_order,
    from links

),

best_outcomes as (

    select
        customer_id,
        id_type,
        min(outcome_order) as outcome_order,
    from links_of_each_way
    group by all

),

ways as (

    select unnest(['any', '{{ stated_id_types() | join("', '") }}']) as id_type

),

outcomes as (

    select unnest([
        {'outcome_order': 0, 'outcome': 'matched'},
        {'outcome_order': 1, 'outcome': 'person refused'},
        {'outcome_order': 2, 'outcome': 'match expired'},
        {'outcome_order': 3, 'outcome': 'device of too many persons'},
        {'outcome_order': 4, 'outcome': 'person of too many devices'},
        {'outcome_order': 5, 'outcome': 'no consented visitor'}
    ], recursive := true)

),

final as (

    select
        ways.id_type,
        outcomes.outcome,
        outcomes.outcome_order,
        count(best_outcomes.customer_id) as customers,
    from ways
    cross join outcomes
    left join best_outcomes
        on
            ways.id_type = best_outcomes.id_type
            and outcomes.outcome_order = best_outcomes.outcome_order
    group by all

)

select * from final
