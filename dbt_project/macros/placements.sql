{# What a placement may be, and the column of an off-site event that says it; a context is a category of one site. #}
{% macro placement_dimensions() -%}
    {{ return({
        'site': 'site',
        'category': 'content_category',
        'hour': "lpad(cast(hour as varchar), 2, '0')",
        'device': 'device',
        'place': 'place',
        'context': "site || ': ' || content_category",
    }) }}
{%- endmacro %}

{# The off-site events that placements are counted from. #}
{% macro events_of_placements() -%}
    select *
    from {{ ref('int_visitor_events') }}
    where
        not is_owned_site
        and event_day > {{ as_of_date() }} - {{ var('placement_window_days') }}
{%- endmacro %}
