{# One spelling per e-mail address: trimmed and lower case; empty becomes null. #}
{% macro normalise_email(column) -%}
    nullif(lower(trim({{ column }})), '')
{%- endmacro %}

{# Digits only, with the leading + kept when there is one; nothing but punctuation becomes null. #}
{% macro normalise_phone(column) -%}
    nullif(
        case when trim({{ column }}) like '+%' then '+' else '' end
        || regexp_replace({{ column }}, '[^0-9]', '', 'g'),
        case when trim({{ column }}) like '+%' then '+' else '' end
    )
{%- endmacro %}

{# Any other identifier: trimmed, case kept; empty becomes null. #}
{% macro normalise_id(column) -%}
    nullif(trim({{ column }}), '')
{%- endmacro %}

{# An identifier whose type is a column of the row, as in traits and consents. #}
{% macro normalise_by_type(id_type, id_value) -%}
    case {{ id_type }}
        when 'email' then {{ normalise_email(id_value) }}
        when 'phone' then {{ normalise_phone(id_value) }}
        else {{ normalise_id(id_value) }}
    end
{%- endmacro %}

{#
    Lower-case hex of HMAC-SHA-256(key, '<id_type>:<id_value>') (RFC 2104), equal to visitor_id in
    include.privacy.pseudonym. The pads come from DuckDB variables that include.warehouse.plugin sets on each cursor:
    the key is in no SQL text.
    Use it in tables and files only; a view would need the key again when it is read.
#}
{% macro visitor_id(id_type, id_value) -%}
    sha256(
        getvariable('hmac_outer')
        || unhex(
            sha256(
                getvariable('hmac_inner')
                || encode({{ id_type }} || ':' || {{ id_value }})
            )
        )
    )
{%- endmacro %}

{# The identifier columns of a record kind that has people in it. #}
{% macro identifiers_of(kind) %}
    {%- if kind == 'customers' -%}
        {{ return(['customer_number', 'loyalty_number', 'user_id', 'email', 'phone', 'national_id']) }}
    {%- elif kind == 'events' -%}
        {{ return(['user_id', 'email', 'phone', 'anonymous_id', 'previous_id', 'device_id', 'advertising_id']) }}
    {%- else -%}
        {{ return([
            'customer_number', 'loyalty_number', 'user_id', 'email', 'phone', 'anonymous_id', 'device_id'
        ]) }}
    {%- endif -%}
{% endmacro %}

{#
    The identifiers that the rows of a relation carry, one row per node, id type and value: when seen and how often.
    `seen_at` is a column; `where` leaves rows out. Rows are first counted per node, which has one set of identifiers
    (but for customers, whose record may change), so that a hundred million events unpivot as a few million nodes.
    The id that an alias event replaces is an anonymous one.
#}
{% macro evidence_of(relation, kind, seen_at, landed_on='first_landed_on', where='true') -%}
    {%- set ids = identifiers_of(kind) -%}
    select
        node_key,
        '{{ kind }}' as kind,
        channel,
        {{ 'record_id' if kind == 'customers' else 'cast(null as varchar) as record_id' }},
        unnest(
            [
                {%- for id in ids %}
                {
                    'id_type': '{{ 'anonymous_id' if id == 'previous_id' else id }}',
                    'id_value': {{ id }}
                }{{ ',' if not loop.last }}
                {%- endfor %}
            ],
            recursive := true
        ),
        landed_on,
        first_seen_at,
        last_seen_at,
        observations,
    from (
        select
            node_key,
            channel,
            {{ 'record_id,' if kind == 'customers' }}
            {{ ids | join(', ') }},
            min({{ landed_on }}) as landed_on,
            min({{ seen_at }}) as first_seen_at,
            max({{ seen_at }}) as last_seen_at,
            count(*) as observations,
        from {{ relation }}
        where
            node_key is not null
            and {{ where }}
        group by all
    ) as nodes
{%- endmacro %}
