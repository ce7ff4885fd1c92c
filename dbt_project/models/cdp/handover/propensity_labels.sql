with

cutoffs as (

    select distinct
        as_of_date,
        {{ end_of_day('as_of_date') }} as cutoff_at,
    from {{ ref('customer_feature_snapshots') }}
    where not is_current

),

happened as (

    {% for propensity in var('propensities') %}
    select
        {{ text_literal(propensity.score) }} as score,
        customer_id,
        occurred_at,
    from {{ ref('customer_timeline') }}
    where
        activity = {{ text_literal(propensity.activity) }}
        and {{ propensity.predicate }}

    {{ 'union all' }}

    {% endfor -%}
    select
        cast(null as varchar) as score,
        cast(null as varchar) as customer_id,
        cast(null as timestamp) as occurred_at,
    where false

),

final as (

    select distinct
        happened.score,
        happened.customer_id,
        cutoffs.as_of_date,
    from happened
    inner join cutoffs
        on
            happened.occurred_at >= cutoffs.cutoff_at
            and happened.occurred_at < cutoffs.cutoff_at + interval {{ var('horizon_days') }} day

)

select * from final
