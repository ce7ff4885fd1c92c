{# Where an external model's file goes: the side is set by folder in dbt_project.yml. #}
{% macro lake_location(node) -%}
    {%- set side = node.config.meta.side -%}
    {%- if side == 'staged' -%}
        {{ var('lake') }}/staged/{{ node.name }}.parquet
    {%- else -%}
        {{ var('lake') }}/tables/{{ side }}/{{ node.name }}.parquet
    {%- endif -%}
{%- endmacro %}

{# The business day of the run, as a date. #}
{% macro as_of_date() -%}
    date '{{ var("as_of_date") }}'
{%- endmacro %}

{# The first moment after the business day (UTC): data and cut-offs are strictly before it. #}
{% macro end_of_day(day=none) -%}
    cast({{ day or as_of_date() }} + interval 1 day as timestamp)
{%- endmacro %}
