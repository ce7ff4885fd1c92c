{# A table of the warehouse that is built in parts, see parts.sql. #}
{% materialization table_in_parts, default %}
    {%- set target_relation = begin_relation('table') -%}
    {%- set parts = parts_of(config.get('meta')) -%}
    {%- set gathered = gathered_in_parts(target_relation, sql, parts) -%}
    {%- set existing_relation = load_cached_relation(this) -%}
    {%- if existing_relation is not none -%}
        {% do adapter.drop_relation(existing_relation) %}
    {%- endif -%}
    {% call statement('main') -%}
        alter table {{ gathered }} rename to {{ adapter.quote(this.identifier) }}
    {%- endcall %}
    {{ return(finish_relation(target_relation)) }}
{% endmaterialization %}
