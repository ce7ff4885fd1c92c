{#
    One Parquet file and a view on it. Its rows are in the order of the model's grain, or of `meta.order`.

    It takes the place of dbt-duckdb's `external`, which writes a row of nulls when a model has no rows: Python steps,
    BI tools and a first day without data need an empty file with the right types. DuckDB writes beside an existing
    file and renames, so a reader never sees half of one. The parts of a model in parts (see parts.sql) are written one
    after the other, or gathered in a table where that would not be in order.
#}
{% materialization external, adapter='duckdb' %}
    {{ return(build_external()) }}
{% endmaterialization %}

{% materialization external, adapter='spark' %}
    {{ return(build_external()) }}
{% endmaterialization %}

{% macro build_external() %}
    {%- set location = lake_location(model) -%}
    {%- set target_relation = begin_relation('view') -%}
    {%- set query = sql -%}
    {% do require_labels(model, sql) %}
    {%- if config.get('contract').enforced -%}
        {{ get_assert_columns_equivalent(sql) }}
        {%- set query = get_select_subquery(sql) -%}
    {%- endif -%}

    {%- set meta = config.get('meta') -%}
    {%- set order = (meta.order or meta.grain) | join(', ') if meta.grain -%}
    {%- set parts = parts_of(meta) if meta.in_parts_of else [] -%}
    {%- set in_parts = parts | length > 1 -%}
    {#- Sorted parts in the order of customers are sorted all, and an order of its own need hold in each part only. -#}
    {%- set streamed = meta.grain and (meta.order or meta.grain[0] == parted_by(meta)) and target.type == 'duckdb' -%}
    {%- if in_parts and streamed -%}
        {%- do write_in_parts(target_relation, query, parts, order, location) -%}
        {% call noop_statement('main', 'OK') %}{% endcall %}
    {%- else -%}
        {%- if in_parts -%}
            {%- set gathered = gathered_in_parts(target_relation, query, parts) -%}
            {%- set query = 'select * from ' ~ gathered -%}
        {%- endif -%}
        {% call statement('main') -%}
            copy (
                select * from ({{ query }}) as model_rows
                {{ 'order by ' ~ order if order }}
            )
            to '{{ location }}' (format parquet, compression zstd)
        {%- endcall %}
        {%- if in_parts -%}
            {% do adapter.drop_relation(gathered) %}
        {%- endif -%}
    {%- endif -%}

    {% call statement('create_view') -%}
        create or replace view {{ target_relation }} as
        select * from read_parquet('{{ location }}')
    {%- endcall %}

    {{ return(finish_relation(target_relation)) }}
{% endmacro %}
