{#
    A table of the warehouse, replaced in one statement, which readers see from its commit on.

    It takes the place of dbt-duckdb's `table`, which builds beside the old table, renames both and drops: of a small
    company's models that takes longer than their queries.
#}
{% materialization table, adapter='duckdb' %}
    {%- set target_relation = begin_relation('table') -%}
    {% call statement('main') -%}
        create or replace table {{ target_relation }} as
        {{ sql }}
    {%- endcall %}
    {{ return(finish_relation(target_relation)) }}
{% endmaterialization %}
