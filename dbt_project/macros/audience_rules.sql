{# Text as an SQL literal. #}
{% macro text_literal(text) -%}
    '{{ text | string | replace("'", "''") }}'
{%- endmacro %}

{#
    The ids of the rules that a row satisfies, as a list to unnest, so that any number of rules is one scan.
    A predicate that is null (an unknown trait, a missing column value) does not match. No rules: an empty list.
    By way of one text: of a list with a place for each rule, DuckDB would write every place of every row.
#}
{% macro matching_rules(rules, id_key) -%}
    {%- if rules -%}
    coalesce(
        string_split(
            nullif(
                concat_ws(
                    ',',
                    {%- for rule in rules %}
                    case when ({{ rule.predicate }}) then {{ text_literal(rule[id_key]) }} end{{ "," if not loop.last }}
                    {%- endfor %}
                ),
                ''
            ),
            ','
        ),
        cast([] as varchar[])
    )
    {%- else -%}
    cast([] as varchar[])
    {%- endif -%}
{%- endmacro %}

{#
    The rows of a relation that satisfy a rule, once per rule. Each rule is a scan of the columns that it names and of
    nothing else, which a table of columns answers faster than all rules at once for every row.
#}
{% macro matches_of(rules, relation, id_column) -%}
    {%- for rule in rules %}
    {{ "union all" if not loop.first }}
    select
        {{ text_literal(rule.audience_id) }} as audience_id,
        {{ id_column }} as member_id,
    from {{ relation }}
    where {{ rule.predicate }}
    {%- else %}
    select
        cast(null as varchar) as audience_id,
        {{ id_column }} as member_id,
    from {{ relation }}
    where false
    {%- endfor %}
{%- endmacro %}

{#
    Rows of configuration as a relation: `columns` maps a column to its SQL type, `rows` are the dictionaries of a
    dbt variable. No rows: an empty relation of the same columns.
#}
{% macro configured_rows(rows, columns) -%}
    select
    {%- for column, type in columns.items() %}
        cast(configured.{{ column }} as {{ type }}) as {{ column }},
    {%- endfor %}
    from (
        values
        {%- for row in rows %}
        (
            {%- for column in columns -%}
            {%- set value = row.get(column) -%}
            {%- if value is none -%} null {%- else -%} {{ text_literal(value) }} {%- endif -%}
            {{ ", " if not loop.last }}
            {%- endfor -%}
        ),
        {%- else %}
        ({% for column in columns %}null{{ ", " if not loop.last }}{% endfor %})
        {%- endfor %}
    ) as configured ({{ columns | join(", ") }})
    {%- if not rows %}
    where false
    {%- endif %}
{%- endmacro %}

{#
    Whether a person is in the control group: a hash of the person alone, so that it is the same on every day, in every
    audience and for all devices of one person. `person` is any stable id. An audience that holds back more holds back
    the same people, and others too.
#}
{% macro is_control(person, share=none) -%}
    cast('0x' || substr(md5('tandem-control:' || {{ person }}), 1, 8) as bigint)
    < cast({{ share or var('control_share') }} as double) * 4294967296
{%- endmacro %}

{# The share of an audience's people that are held back: its own, or the one of all. #}
{% macro control_share_of(audience_id) -%}
    {%- set own = [] -%}
    {%- for audience in var('audiences') if audience.get('control_share') is not none -%}
        {%- do own.append("when " ~ text_literal(audience.audience_id) ~ " then " ~ audience.control_share) -%}
    {%- endfor -%}
    {%- if own -%}
    case {{ audience_id }} {{ own | join(" ") }} else {{ var('control_share') }} end
    {%- else -%}
    {{ var('control_share') }}
    {%- endif -%}
{%- endmacro %}

{# The audiences that are sent anywhere, as a list of texts. #}
{% macro sent_audiences() -%}
    {%- set sent = [] -%}
    {%- for audience in var('audiences') if audience.get('destinations') -%}
        {%- do sent.append(text_literal(audience.audience_id)) -%}
    {%- endfor -%}
    cast([{{ sent | join(", ") }}] as varchar[])
{%- endmacro %}

{# The traits that each audience asks for, as rows. #}
{% macro audience_traits() -%}
    {%- set rows = [] -%}
    {%- for audience in var('audiences') -%}
        {%- for trait_id in audience.get('trait_ids', []) -%}
            {%- do rows.append({'audience_id': audience.audience_id, 'trait_id': trait_id}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(rows) }}
{%- endmacro %}

{#
    What was published as `table` on the latest earlier day, with `columns` and their SQL types. Which file that is says
    a variable, chosen before the run among the days before the business day, so that running a day again changes
    nothing. It is chosen for each side, since visitors have other names under another key. On the first day there is
    none: an empty relation of the same columns.
#}
{% macro published_before(table, columns) -%}
    {%- set paths = var('audience_history', {}).get(table, {}) -%}
    select
    {%- for column, type in columns.items() %}
        cast({{ column if paths else 'null' }} as {{ type }}) as {{ column }},
    {%- endfor %}
    {%- if paths %}
    from (
        {%- for path in paths.values() | unique %}
        select * from read_parquet('{{ path }}', hive_partitioning = false)
        where side in (
            {%- for side in paths if paths[side] == path %}{{ ', ' if not loop.first }}'{{ side }}'{% endfor -%}
        )
        union all by name
        {%- endfor %}
        -- A day before a column was introduced does not have it.
        select
        {%- for column, type in columns.items() %}
            cast(null as {{ type }}) as {{ column }},
        {%- endfor %}
        where false
    )
    {%- else %}
    where false
    {%- endif %}
{%- endmacro %}
