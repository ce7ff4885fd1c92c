{#
    Models whose `meta.in_parts_of` names a table of customers are built some customers at a time when there are many:
    lists and maps of values per customer cannot leave memory before they are done. The query of such a model must take
    its customers with in_part, and give the same rows for a customer whoever else is in the part.
#}

{# True for the customers of the part that is being built; for all when there is but one, and outside of a build. #}
{% macro in_part(column) -%}
    hash({{ column }}) % coalesce(getvariable('parts'), 1) = coalesce(getvariable('part'), 0)
{%- endmacro %}

{# How many parts the snapshots of the customers in a table make, by how many rows they have together. #}
{% macro parts_of(customers) %}
    {%- set count = run_query('select count(distinct customer_id) from ' ~ customers).rows[0][0] | int -%}
    {%- set rows = count + [count, var('learners')] | min * (var('feature_cutoffs') | length - 1) -%}
    {{ return([(rows / var('snapshots_at_a_time')) | round(0, 'ceil') | int, 1] | max) }}
{% endmacro %}

{# The table of the warehouse that the parts of a relation are put into before they are sorted. #}
{% macro gathered_in_parts(relation, query, parts) %}
    {%- set gathered = beside(relation, 'parts') -%}
    {%- for part in range(parts) -%}
        {%- do run_query('set variable parts = cast(' ~ parts ~ ' as ubigint)') -%}
        {%- do run_query('set variable part = cast(' ~ part ~ ' as ubigint)') -%}
        {% call statement('part') -%}
            {{ 'create or replace table ' ~ gathered ~ ' as' if loop.first else 'insert into ' ~ gathered }}
            {{ query }}
        {%- endcall %}
    {%- endfor -%}
    {%- do run_query('reset variable parts') -%}
    {%- do run_query('reset variable part') -%}
    {{ return(gathered) }}
{% endmacro %}
