{# A pseudonym of a person, under the same key as visitor ids but of a type that no identifier has. #}
{% macro person_key(person) -%}
    'p' || substr({{ visitor_id("'person'", person) }}, 1, 24)
{%- endmacro %}

{# Beyond these a match says more about a shared device or a shared log-in than about a person. #}
{% macro max_persons_per_visitor() -%}
    {{ return(10) }}
{%- endmacro %}

{% macro max_visitors_per_person() -%}
    {{ return(100) }}
{%- endmacro %}
