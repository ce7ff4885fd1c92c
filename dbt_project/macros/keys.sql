{#
    A text as a 128-bit number, to group, join and sort by: comparing long texts costs several times as much, and 128
    bits make a collision as good as impossible.
#}
{% macro hash_key(text) -%}
    md5_number({{ text }})
{%- endmacro %}

{#
    The place of something among others in time, to compare and sort by: its time and, of those of one time, half of its
    key's hash. In DuckDB that is one number: an aggregate keeps no text for each of its groups, and compares none.
#}
{% macro place_in_time(time, key) %}
    {{- adapter.dispatch('place_in_time', 'tandem')(time, key) -}}
{% endmacro %}

{% macro default__place_in_time(time, key) -%}
    (cast(epoch_us({{ time }}) as hugeint) * 18446744073709551616 + cast({{ hash_key(key) }} >> 64 as hugeint))
{%- endmacro %}

{% macro spark__place_in_time(time, key) -%}
    {'at': {{ time }}, 'key': {{ hash_key(key) }}}
{%- endmacro %}
