-- noqa: disable=LT02
-- (the linter loses count of indents where a loop writes columns)

-- What the conditions of all DMP audiences ask of a visitor, each question once, in one grouped scan. Only live
-- qualifications count: an expired trait has no value, frequency 0 and no recency.

with

visitors as (

    select visitor_id from {{ ref('visitors') }}

),

qualifications as (

    select * from {{ ref('trait_qualifications') }}

),

observations as (

    select * from {{ ref('int_trait_observations') }}

),

live_observations as (

    select
        observations.visitor_id,
        observations.trait_id,
        observations.observed_on,
        observations.observations,
        qualifications.value,
    from observations
    inner join qualifications
        on
            observations.visitor_id = qualifications.visitor_id
            and observations.trait_id = qualifications.trait_id

),

answers as (

    select
        visitor_id,
        {%- for atom in var('atoms') %}
        {%- set trait = text_literal(atom.trait_id) %}
        {%- if atom.kind in ('value', 'trait') %}
        max(value) filter (where trait_id = {{ trait }}) as {{ atom.alias }},
        {%- elif atom.kind == 'frequency' %}
        cast(
            sum(observations) filter (
                where trait_id = {{ trait }} and observed_on > {{ as_of_date() }} - {{ atom.days | int }}
            ) as bigint
        ) as {{ atom.alias }},
        {%- elif atom.kind == 'recency' %}
        {{ as_of_date() }} - max(observed_on) filter (where trait_id = {{ trait }}) as {{ atom.alias }},
        {%- else %}
        {{ exceptions.raise_compiler_error("atom " ~ atom.alias ~ ": unknown kind " ~ atom.kind) }}
        {%- endif %}
        {%- endfor %}
    from live_observations
    group by visitor_id

),

final as (

    select
        visitors.visitor_id,
        {%- for atom in var('atoms') %}
        {%- if atom.kind == 'frequency' %}
        coalesce(answers.{{ atom.alias }}, 0) as {{ atom.alias }},
        {%- else %}
        answers.{{ atom.alias }},
        {%- endif %}
        {%- endfor %}
    from visitors
    left join answers
        on visitors.visitor_id = answers.visitor_id

)

select * from final
