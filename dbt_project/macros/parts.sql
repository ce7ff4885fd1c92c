{#
    Models whose `meta.in_parts_of` names a table of the warehouse are built some of its rows at a time when there are
    many: lists, maps and texts per group cannot leave memory before they are done. A part is a range of customers (or
    of what `meta.parted_by` names), so that parts in their order are in the order of customers. The query of such a
    model must take its customers with in_part, and give the same rows for each whoever else is in the part.
    The variable that `meta.at_a_time` names says of how many rows of the table, or different values of `meta.counted`,
    a part is for each gigabyte of memory; without it a part is of some snapshots of what is counted.
#}

{# True for the customers of the part that is being built; for all when there is but one, and outside of a build. #}
{% macro in_part(column) -%}
    (getvariable('part_from') is null or {{ column }} >= getvariable('part_from'))
    and (getvariable('part_until') is null or {{ column }} < getvariable('part_until'))
{%- endmacro %}

{# What a model in parts is parted by, an expression over the table that it is in parts of. #}
{% macro parted_by(meta) -%}
    {{ return(meta.parted_by or 'customer_id') }}
{%- endmacro %}

{#
    The parts that a model is built in, by its `meta`: of each the first customer, and the first of the next part; none
    where a part has no end. Their bounds are those of about a hundred thousand of the table's rows.
#}
{% macro parts_of(meta) %}
    {%- set table = this.incorporate(path={'identifier': meta.in_parts_of}) -%}
    {%- set counted = 'distinct hash(' ~ meta.counted ~ ')' if meta.counted else '*' -%}
    {%- set query = 'select count(' ~ counted ~ '), count(*) from ' ~ table -%}
    {%- set rows, table_rows = run_query(query).rows[0].values() -%}
    {%- if not meta.at_a_time -%}
        {%- set learners = [rows | int, var('learners')] | min -%}
        {%- set rows = rows | int + learners * (var('feature_cutoffs') | length - 1) -%}
    {%- endif -%}
    {%- set at_a_time = var(meta.at_a_time or 'snapshots_at_a_time') * var('memory_gb') -%}
    {%- set parts = (rows | int / at_a_time) | round(0, 'ceil') | int -%}
    {%- if parts < 2 -%}
        {{ return([(none, none)]) }}
    {%- endif -%}
    {%- set percent = 100000 * 100 / (table_rows | int) -%}
    {%- set firsts -%}
        select min(id) as first_id
        from (
            select
                id,
                ntile({{ parts }}) over (order by id) as part,
            from (
                select {{ parted_by(meta) }} as id
                from {{ table }}
                {{ 'tablesample bernoulli (' ~ percent ~ ' percent)' if percent < 100 }}
            )
            where id is not null
        )
        group by part
        order by part
    {%- endset -%}
    {%- set bounds = run_query(firsts).columns[0].values()[1:] | list -%}
    {{ return(zip([none] + bounds, bounds + [none]) | list) }}
{% endmacro %}

{# What has in_part be true from the first of these customers on and before the second; none is no bound. #}
{% macro statements_of_part(bounds) %}
    {%- set statements = [] -%}
    {%- for name, bound in zip(['part_from', 'part_until'], bounds) -%}
        {%- set text = dbt.string_literal(dbt.escape_single_quotes(bound)) if bound is not none else 'null' -%}
        {%- do statements.append('set variable ' ~ name ~ ' = cast(' ~ text ~ ' as varchar)') -%}
    {%- endfor -%}
    {{ return(statements) }}
{% endmacro %}

{% macro take_part(bounds) %}
    {%- for statement in statements_of_part(bounds) -%}
        {%- do run_query(statement) -%}
    {%- endfor -%}
{% endmacro %}

{# A table of the warehouse with the parts of a relation. #}
{% macro gathered_in_parts(relation, query, parts) %}
    {%- set gathered = beside(relation, 'parts') -%}
    {%- for bounds in parts -%}
        {%- do take_part(bounds) -%}
        {% call statement('part') -%}
            {{ 'create or replace table ' ~ gathered ~ ' as' if loop.first else 'insert into ' ~ gathered }}
            {{ query }}
        {%- endcall %}
    {%- endfor -%}
    {%- do take_part([none, none]) -%}
    {{ return(gathered) }}
{% endmacro %}

{# A Parquet file with the parts of a relation, each of them sorted. include.warehouse.plugin writes it. #}
{% macro write_in_parts(relation, query, parts, order, location) %}
    {%- set statements = [] -%}
    {%- for bounds in parts -%}
        {%- do statements.append(statements_of_part(bounds)) -%}
    {%- endfor -%}
    {%- set query = 'select * from (' ~ query ~ ') as part_rows order by ' ~ order -%}
    {%- do adapter.store_relation(
        'plugin', relation, [], location, 'parquet', {'query': query, 'parts': statements}
    ) -%}
{% endmacro %}
