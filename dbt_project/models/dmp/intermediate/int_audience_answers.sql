-- noqa: disable=LT02
-- (the linter loses count of indents where a loop writes columns)

-- What the conditions of all DMP audiences ask of a visitor, each question once, in one grouped scan. A question about
-- one trait is answered where the trait's row is, by one bit; a visitor's bits come together in a few words. Only a
-- comparison of several traits needs their values side by side. Who holds none of the traits is not here: a condition
-- that would hold for them is refused with the configuration.

{%- set questions = var('questions') %}
{%- set asked = (questions | map(attribute='trait_id') | list) + (var('atoms') | map(attribute='trait_id') | list) %}

with

held_traits as (

    select * from {{ ref('int_held_traits') }}

),

visitors as (

    select visitor_id from {{ ref('visitors') }}

),

asked_traits as (

    select
        *,
        date_diff('day', last_observed_at, {{ as_of_date() }}) as recency,
    from held_traits
    where list_contains(
        cast(
            [{% for trait_id in asked | unique(case_sensitive=true) %}{{ text_literal(trait_id) }}, {% endfor %}]
            as varchar[]
        ),
        trait_id
    )

),

answers as (

    select
        visitor_id,
        {%- for word, questions_of_word in questions | groupby('word') %}
        bit_or(
            case trait_id
                {%- for trait_id, questions_of_trait in questions_of_word | groupby('trait_id', case_sensitive=true) %}
                when {{ text_literal(trait_id) }} then
                    {%- for question in questions_of_trait %}
                    {{ "| " if not loop.first }}case
                        when ({{ question.predicate }}) then {{ 0 if question.default else question.bit }}
                        else {{ question.bit if question.default else 0 }}
                    end
                    {%- endfor %}
                {%- endfor %}
                else 0
            end
        ) as {{ word }},
        {%- endfor %}
        {%- for atom in var('atoms') %}
        {%- set trait = text_literal(atom.trait_id) %}
        {%- if atom.kind == 'trait' %}
        max(value) filter (where trait_id = {{ trait }}) as {{ atom.alias }},
        {%- elif atom.kind == 'frequency' %}
        coalesce(max(frequency_{{ atom.days | int }}) filter (where trait_id = {{ trait }}), 0) as {{ atom.alias }},
        {%- elif atom.kind == 'recency' %}
        max(recency) filter (where trait_id = {{ trait }}) as {{ atom.alias }},
        {%- else %}
        {{ exceptions.raise_compiler_error("atom " ~ atom.alias ~ ": unknown kind " ~ atom.kind) }}
        {%- endif %}
        {%- endfor %}
    from asked_traits
    group by visitor_id

),

final as (

    select answers.*
    from answers
    inner join visitors
        on answers.visitor_id = visitors.visitor_id

)

select * from final
