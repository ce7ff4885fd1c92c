{#
    A text as a 128-bit number, to group, join and sort by: comparing long texts costs several times as much, and 128
    bits make a collision as good as impossible.
#}
{% macro hash_key(text) -%}
    md5_number({{ text }})
{%- endmacro %}

{#
    The place of something among others in time, to compare and sort by: its time and, of those of one time, its key.
    DuckDB compares one text of bytes much faster than two values of a struct.
#}
{% macro place_in_time(time, key) %}
    {{- adapter.dispatch('place_in_time', 'tandem')(time, key) -}}
{% endmacro %}

{% macro default__place_in_time(time, key) -%}
    create_sort_key({{ time }}, 'asc nulls last', {{ key }}, 'asc nulls last')
{%- endmacro %}

{% macro spark__place_in_time(time, key) -%}
    {'at': {{ time }}, 'key': {{ key }}}
{%- endmacro %}
