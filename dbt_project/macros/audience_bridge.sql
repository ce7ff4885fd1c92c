{#
    A pseudonym of a person, under the same key as visitor ids but of a type that no identifier has: whoever lacks the
    key cannot compute it from a customer id. Each purpose has its own, so that what one learned cannot be joined with
    what another did.
#}
{% macro person_key(person, purpose='seed') -%}
    'p' || substr({{ visitor_id("'person for " ~ purpose ~ "'", person) }}, 1, 24)
{%- endmacro %}

{# Beyond these a match says more about a shared device or a shared log-in than about a person. #}
{% macro max_persons_per_visitor() -%}
    {{ return(10) }}
{%- endmacro %}

{% macro max_visitors_per_person() -%}
    {{ return(100) }}
{%- endmacro %}
