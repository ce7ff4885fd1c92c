{# The consent purposes without which nobody is a visitor: all of them must be granted. #}
{% macro advertising_purposes() -%}
    {{ return(var('advertising_purposes', ['advertising'])) }}
{%- endmacro %}

{% macro advertising_purpose_list() -%}
    {%- for purpose in advertising_purposes() -%}
    {{ text_literal(purpose) }}{{ ", " if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# What an event's consent says of one purpose: true, false, or null when it says nothing that can be read. #}
{% macro stated_consent(consent, purpose) -%}
    try_cast(json_extract_string({{ consent }}, '$."{{ purpose }}"') as boolean)
{%- endmacro %}

{# The id types that can be a visitor, the first present in an event names it. #}
{% macro visitor_id_types() -%}
    {{ return(['anonymous_id', 'advertising_id', 'device_id']) }}
{%- endmacro %}

{# Those by which other parties, and consent records, name a visitor: a hashed e-mail address is no device. #}
{% macro stated_id_types() -%}
    {{ return(visitor_id_types() + ['hashed_email']) }}
{%- endmacro %}

{# A SHA-256 in lower-case hex; null for what is none, and for none at all. #}
{% macro usable_hash(hash) -%}
    case when regexp_full_match(lower(trim({{ hash }})), '[0-9a-f]{64}') then lower(trim({{ hash }})) end
{%- endmacro %}

{# Null for an identifier that says "none": empty, or zeros only, as phones send when advertising ids are limited. #}
{% macro usable_visitor_identifier(id_value) -%}
    case when not regexp_full_match({{ id_value }}, '[0-]*') then {{ id_value }} end
{%- endmacro %}

{# The same for an identifier whose type is a column of the row. #}
{% macro usable_stated_identifier(id_type, id_value) -%}
    case
        when {{ id_type }} = 'hashed_email' then {{ usable_hash(id_value) }}
        else {{ usable_visitor_identifier(id_value) }}
    end
{%- endmacro %}

{# The class of device that a platform tells of, for events whose user agent says nothing. #}
{% macro device_of_platform(platform) -%}
    case
        when lower({{ platform }}) in ('mobile', 'ios', 'android') then 'mobile'
        when lower({{ platform }}) in ('desktop', 'windows', 'macos', 'linux') then 'desktop'
        when lower({{ platform }}) in ('tv', 'ctv', 'ott', 'tvos') then 'tv'
        else 'other'
    end
{%- endmacro %}

{#
    The network of an address, never the address: /24 of IPv4 (also when it is written inside IPv6), /48 of IPv6.
    What is neither becomes null. Groups of IPv6 lose leading zeros, so that one network has one spelling.
#}
{% macro coarse_network(ip) -%}
    {%- set address = "lower(trim(" ~ ip ~ "))" -%}
    {%- set octet = '(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])' -%}
    {%- set dotted -%}
        nullif(
            regexp_extract(
                {{ address }}, '^(?:::ffff:)?({{ octet }}\.{{ octet }}\.{{ octet }})\.{{ octet }}$', 1
            ),
            ''
        )
    {%- endset -%}
    {%- set head = "list_filter(string_split(split_part(" ~ address ~ ", '::', 1), ':'), lambda part: part <> '')" -%}
    {%- set tail = "list_filter(string_split(split_part(" ~ address ~ ", '::', 2), ':'), lambda part: part <> '')" -%}
    coalesce(
        {{ dotted }} || '.0/24',
        case
            when regexp_full_match({{ address }}, '[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}')
                or (
                    regexp_full_match(
                        {{ address }},
                        '([0-9a-f]{1,4}(:[0-9a-f]{1,4})*)?::([0-9a-f]{1,4}(:[0-9a-f]{1,4})*)?'
                    )
                    and len({{ head }}) + len({{ tail }}) < 8
                )
                then array_to_string(
                    list_transform(
                        list_slice(
                            list_concat(
                                {{ head }},
                                list_resize(
                                    cast([] as varchar[]),
                                    cast(8 - len({{ head }}) - len({{ tail }}) as bigint),
                                    '0'
                                ),
                                {{ tail }}
                            ),
                            1,
                            3
                        ),
                        lambda part: coalesce(nullif(ltrim(part, '0'), ''), '0')
                    ),
                    ':'
                ) || '::/48'
        end
    )
{%- endmacro %}

{#
    Free text that may cross the privacy wall. Text that equals one of the row's identifiers, or that looks like a
    direct identifier (an e-mail or IP address, a telephone number, a long number, a device or session id), becomes
    '(withheld)': that something was there stays visible, what it was does not.
#}
{% macro without_identifiers(text, identifiers=[]) -%}
    case
        when regexp_matches(
            {{ text }},
            '@|%40|\d{1,3}(\.\d{1,3}){3}|\+\d{7}|\d{9}|(?i)[0-9a-f]{8}-[0-9a-f]{4}|(?i)[0-9a-f]{20}'
        ) then '(withheld)'
        {%- if identifiers %}
        when {{ text }} in ({{ identifiers | join(", ") }}) then '(withheld)'
        {%- endif %}
        else {{ text }}
    end
{%- endmacro %}

{# The type and the value of the identifier that names an event's visitor: the first usable of visitor_id_types. #}
{% macro visitor_identifier_type(relation) -%}
    case
        {%- for id_type in visitor_id_types() %}
        when {{ usable_visitor_identifier(relation ~ '.' ~ id_type) }} is not null then '{{ id_type }}'
        {%- endfor %}
    end
{%- endmacro %}

{% macro visitor_identifier_value(relation) -%}
    coalesce(
        {%- for id_type in visitor_id_types() %}
        {{ usable_visitor_identifier(relation ~ '.' ~ id_type) }}{{ "," if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}

{# The columns of stg_events that say who it was: text that equals one of them does not cross the wall. #}
{% macro identifier_columns() -%}
    {{ return([
        'anonymous_id', 'advertising_id', 'device_id', 'user_id', 'previous_id', 'email', 'phone', 'ip', 'event_id',
    ]) }}
{%- endmacro %}
