-- How well the bridge works, by the way in which customers can be known as visitors. A customer counts once in each:
-- for the best that came of it. Few people leave no number, nor do the few that could be told from other numbers.

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

counted as (

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

),

floored as (

    select
        *,
        sum(customers) over (partition by id_type) as all_customers,
        customers between 1 and {{ var('minimum_cell', 50) - 1 }} as is_small,
    from counted

),

-- Whoever knows the total could tell the small ones together from the others: the smallest of these is kept back too.
guarded as (

    select
        *,
        coalesce(sum(customers) filter (where is_small) over (partition by id_type), 0) as small_customers,
        count(*) filter (where is_small) over (partition by id_type) as small_cells,
        row_number() over (
            partition by id_type, is_small or customers = 0
            order by customers, outcome_order
        ) as place,
    from floored

),

-- Who is matched in any way, but not in this one, is the difference of two numbers, and so is who has any identifier
-- but not this one. When it is small, `any` keeps back what it could be told from.
nested as (

    select
        bool_or(everybody.customers - parts.customers between 1 and {{ var('minimum_cell', 50) - 1 }}) as matched_tells,
        bool_or(
            everybody.all_customers - parts.all_customers between 1 and {{ var('minimum_cell', 50) - 1 }}
        ) as total_tells,
    from guarded as everybody
    inner join guarded as parts
        on everybody.outcome = parts.outcome
    where
        everybody.id_type = 'any'
        and parts.id_type <> 'any'
        and everybody.outcome = 'matched'

),

hidden as (

    select
        guarded.*,
        all_customers < {{ var('minimum_cell', 50) }}
        or (id_type = 'any' and (nested.matched_tells or nested.total_tells)) as is_total_hidden,
        is_small
        or (
            customers > 0
            and place = 1
            and small_cells > 0
            and (small_cells = 1 or small_customers < {{ var('minimum_cell', 50) }})
        )
        or all_customers < {{ var('minimum_cell', 50) }}
        or (id_type = 'any' and nested.matched_tells)
        or (id_type = 'any' and nested.total_tells and outcome <> 'matched') as is_suppressed,
    from guarded
    cross join nested

),

final as (

    select
        id_type,
        outcome,
        cast(case when not is_suppressed then customers end as bigint) as customers,
        cast(case when not is_total_hidden then all_customers end as bigint) as all_customers,
        case
            when not is_suppressed and not is_total_hidden
                then round(cast(customers as double) / all_customers, 4)
        end as share,
        is_suppressed as suppressed,
        {{ as_of_date() }} as as_of_date,
    from hidden

)

select * from final
