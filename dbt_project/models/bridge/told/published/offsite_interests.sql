{%- set figures = [
    'rate_before', 'rate_after', 'control_before', 'control_after', 'did', 'low', 'high', 'multiplier',
    'multiplier_low', 'multiplier_high', 'p_value', 'q_value', 'placebo_multiplier', 'placebo_low', 'placebo_high',
] -%}
-- All contents and windows of a category are of the same people, so nothing can be told from the difference of two
-- rows.
with

compared as (

    select * from {{ source('ml', 'offsite_interests') }}

),

compared_people as (

    select * from {{ source('ml', 'compared_people') }}

),

interests as (

    select
        compared.* exclude (buyers, controls),
        compared_people.buyers,
        compared_people.controls,
        compared_people.buyers is null or compared_people.controls is null as suppressed,
    from compared
    left join compared_people
        on compared.bought_category = compared_people.bought_category

),

final as (

    select
        bought_category,
        content_category,
        case when suppressed then 'too few' else verdict end as verdict,
        case when not suppressed then comes_with end as comes_with,
        model_version,
        cast(window_days as bigint) as window_days,
        cast(case when not suppressed then buyers end as bigint) as buyers,
        cast(case when not suppressed then controls end as bigint) as controls,
        {%- for figure in figures %}
        cast(
            case
                when not suppressed
                    then {{ figure if figure in ('p_value', 'q_value') else 'round(' ~ figure ~ ', 4)' }}
            end as double
        ) as {{ figure }},
        {%- endfor %}
        suppressed,
        cast(as_of_date as date) as as_of_date,
    from interests

)

select * from final
