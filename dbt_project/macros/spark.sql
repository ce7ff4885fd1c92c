{# What dbt-spark would say in Spark's words is said in DuckDB's: include.warehouse.spark translates each statement. #}

{% macro spark__create_table_as(temporary, relation, compiled_code, language='sql') -%}
    create or replace table {{ relation }} as
    {{ compiled_code }}
{%- endmacro %}

{#
    A contract. Engines do not agree on the type of a sum or a quotient, so on Spark each column is cast to the type
    that the contract names; a column too many, too few or of another name is an error on both.
#}
{% macro spark__get_assert_columns_equivalent(sql) -%}
    {%- set found = get_column_schema_from_query(sql) | map(attribute='name') | list -%}
    {%- set declared = model.columns.values() | map(attribute='name') | list -%}
    {%- if found | sort != declared | sort -%}
        {% do exceptions.raise_compiler_error(
            model.name ~ ": found the columns " ~ found | join(", ") ~ "; its contract has " ~ declared | join(", ")
        ) %}
    {%- endif -%}
{%- endmacro %}

{% macro spark__get_select_subquery(sql) -%}
    select
        {%- for column in model.columns.values() %}
        cast({{ column.name }} as {{ column.data_type }}) as {{ column.name }},
        {%- endfor %}
    from ({{ sql }}) as model_rows
{%- endmacro %}
