{#
    Models whose `meta.in_parts_of` names a table of the warehouse are built some of its rows at a time when there are
    many: lists, maps and texts per group cannot leave memory before they are done. The query of such a model must take
    its customers (or visitors) with in_part, and give the same rows for each whoever else is in the part.
    The variable that `meta.at_a_time` names says of how many rows of the table a part is, or of how many different
    values of `meta.counted`; without it the table is one of customers, and a part is of some of their snapshots.
#}

{#
    True for the customers of the part that is being built; for all when there is but one, and outside of a build, at no
    cost then. Both variables are of the hash's own type: beside a signed number DuckDB takes the rest in 128 bits,
    which costs fifty times as much.
#}
{% macro in_part(column) -%}
    (getvariable('parts') is null or hash({{ column }}) % getvariable('parts') = getvariable('part'))
{%- endmacro %}

{# How many parts a model is built in, by its `meta`. #}
{% macro parts_of(meta) %}
    {%- set table = this.incorporate(path={'identifier': meta.in_parts_of}) -%}
    {%- if meta.at_a_time -%}
        {%- set counted = 'distinct hash(' ~ meta.counted ~ ')' if meta.counted else '*' -%}
        {%- set rows = run_query('select count(' ~ counted ~ ') from ' ~ table).rows[0][0] | int -%}
    {%- else -%}
        {%- set count = run_query('select count(distinct customer_id) from ' ~ table).rows[0][0] | int -%}
        {%- set rows = count + [count, var('learners')] | min * (var('feature_cutoffs') | length - 1) -%}
    {%- endif -%}
    {{ return([(rows / var(meta.at_a_time or 'snapshots_at_a_time')) | round(0, 'ceil') | int, 1] | max) }}
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
