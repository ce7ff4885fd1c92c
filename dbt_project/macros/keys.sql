{#
    A text as a 128-bit number, to group, join and sort by: comparing long texts costs several times as much, and 128
    bits make a collision as good as impossible.
#}
{% macro hash_key(text) -%}
    md5_number({{ text }})
{%- endmacro %}
