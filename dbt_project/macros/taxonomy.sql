{#
    Branches of a `case` that give an event the category that its properties tell of, by the rules of normalisation.yml;
    nothing without rules. Of two properties the one that is listed first counts.
#}
{% macro category_by_properties(properties) -%}
    {%- for rule in var('content_properties', []) %}
when json_extract_string({{ properties }}, '$."{{ rule.property }}"') = {{ text_literal(rule.value) }}
    then {
        'path': cast(null as varchar),
        'category_id': {{ text_literal(rule.category_id) }},
        'name': {{ text_literal(rule.name) }},
        'tier_1': {{ text_literal(rule.tier_1) }}
    }
    {%- endfor %}
{%- endmacro %}

{# The names of a category and of those above it, from a list in which the tiers that it does not have are null. #}
{% macro tiers_of(names) -%}
    list_transform(
        list_filter({{ names }}, lambda tier: trim(tier) <> ''),
        lambda tier: rtrim(trim(tier), '*')
    )
{%- endmacro %}
