{#
    CTEs that end in `latest`: the latest version of each record of a relation, with the day its first version came
    (ids derived from that day stay when a correction arrives). A later `ordered_by` wins, then a later file, then a
    later row of it; that order is total, so the same rows give the same choice in whatever order they load.

    Few records come twice, so only those are compared; a window over all rows took more than twice as long. The
    relation should be `not materialized`: it is read three times, and mostly two columns of it.
#}
{% macro latest_versions_of(relation, key, ordered_by) -%}
{%- set record = ['channel'] + key -%}
{%- set row = record + ['landed_on', 'source_file', 'source_row'] -%}
repeated as (

    select
        {{ record | join(', ') }},
        min(landed_on) as first_landed_on,
    from {{ relation }}
    group by all
    having count(*) > 1

),

superseded as (

    select
        {%- for column in row %}
        {{ relation }}.{{ column }},
        {%- endfor %}
    from {{ relation }}
    semi join repeated
        on
            {{ same(relation, 'repeated', record) }}
    qualify
        row_number() over (
            partition by {{ relation }}.{{ record | join(', ' ~ relation ~ '.') }}
            order by
                {{ ordered_by }} desc nulls last,
                {{ relation }}.landed_on desc,
                {{ relation }}.source_file desc,
                {{ relation }}.source_row desc
        ) > 1

),

latest as (

    select
        {{ relation }}.*,
        coalesce(repeated.first_landed_on, {{ relation }}.landed_on) as first_landed_on,
    from {{ relation }}
    left join repeated
        on
            {{ same(relation, 'repeated', record) }}
    anti join superseded
        on
            {{ same(relation, 'superseded', row) }}

)
{%- endmacro %}

{# A join condition on equal columns, where null equals null. #}
{% macro same(relation, other, columns) -%}
    {%- for column in columns -%}
    {{ 'and ' if not loop.first }}{{ relation }}.{{ column }} is not distinct from {{ other }}.{{ column }}
    {{- '\n            ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{#
    The identity node of a row: rows of a channel that carry the same identifiers are one node, rows without any are
    none (null). `ids` are normalised columns.
#}
{% macro node_key(kind, ids) -%}
    '{{ kind }}:' || channel || ':' || md5(nullif(concat_ws(
        '|',
        {%- for id in ids %}
        '{{ id }}:' || {{ id }}{{ ',' if not loop.last }}
        {%- endfor %}
    ), ''))
{%- endmacro %}

{# True when an order still counts: cancelled and refunded ones stay visible but have no value. #}
{% macro is_valid_order(status) -%}
    coalesce(lower(trim({{ status }})), '') not in (
        'cancelled', 'canceled', 'refunded', 'returned', 'failed', 'void', 'voided'
    )
{%- endmacro %}

{# An address without query and fragment, which may hold names, e-mail addresses or tokens. #}
{% macro bare_url(url) -%}
    split_part(split_part({{ url }}, '?', 1), '#', 1)
{%- endmacro %}
