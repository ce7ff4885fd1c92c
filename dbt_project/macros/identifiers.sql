{# An identifier that has no form of its own: trimmed, case kept; empty becomes null. #}
{% macro normalise_id(column) -%}
    nullif(trim({{ column }}), '')
{%- endmacro %}

{#
    Joins with the dictionaries that the normalise step writes: `emails` and `phones`, by the landed values. A telephone
    number is read by the rules of the country of its record, where it has one.
#}
{% macro join_contacts(email, phone, country='cast(null as varchar)') -%}
left join {{ source('dictionaries', 'emails') }} as emails
        on {{ email }} = emails.raw
    left join {{ source('dictionaries', 'phones') }} as phones
        on
            {{ phone }} = phones.raw
            and {{ country }} is not distinct from phones.country
{%- endmacro %}

{# A CTE `normalised`: the relation with its e-mail address and telephone number in their one spelling. #}
{% macro with_contacts(relation) -%}
normalised as not materialized (

    select
        {{ relation }}.* replace (
            emails.email as email,
            phones.phone as phone,
            {{ with_refused(relation ~ '.rejected_values', {
                'email': (relation ~ '.email', 'emails.email'),
                'phone': (relation ~ '.phone', 'phones.phone'),
            }) }} as rejected_values
        ),
    from {{ relation }}
    {{ join_contacts(relation ~ '.email', relation ~ '.phone') }}

)
{%- endmacro %}

{# Joins for rows whose `id_type` says what their `id_value` is; see normalise_by_type. #}
{% macro join_by_type(id_type, id_value) -%}
{{ join_contacts(
    'case when ' ~ id_type ~ " = 'email' then " ~ id_value ~ ' end',
    'case when ' ~ id_type ~ " = 'phone' then " ~ id_value ~ ' end',
) }}
{%- endmacro %}

{#
    An identifier whose type is a column of the row, as in traits and consents, where it is part of the key: what cannot
    be normalised stays as it is, and is nobody's. Needs join_by_type.
#}
{% macro normalise_by_type(id_type, id_value) -%}
    coalesce(emails.email, phones.phone, {{ normalise_id(id_value) }})
{%- endmacro %}

{#
    The rejected values of a row with those added that could not be normalised: `values` maps a column to what landed
    and what it became.
#}
{% macro with_refused(rejected, values) -%}
    case
        when
            {%- for landed, normal in values.values() %}
            {{ 'or ' if not loop.first }}({{ normal }} is null and trim({{ landed }}) <> '')
            {%- endfor %}
            then map_concat(
                {{ rejected }},
                map_from_entries(list_filter(
                    [
                        {%- for column, (landed, normal) in values.items() %}
                        {
                            'key': '{{ column }}',
                            'value': case when {{ normal }} is null and trim({{ landed }}) <> '' then {{ landed }} end
                        }{{ ',' if not loop.last }}
                        {%- endfor %}
                    ],
                    lambda entry: entry.value is not null
                ))
            )
        else {{ rejected }}
    end
{%- endmacro %}

{# Composed Unicode (NFC) with single spaces, without what the pattern finds at either end; empty becomes null. #}
{% macro normalise_text(column, stray) -%}
    nullif(
        regexp_replace(
            regexp_replace(nfc_normalize({{ column }}), '{{ stray }}', '', 'g'), '[\s\pZ]+', ' ', 'g'
        ),
        ''
    )
{%- endmacro %}

{# A person's name, without punctuation before it or after it; `'t Hart` and `Lee Jr.` keep theirs. #}
{% macro normalise_name(column) -%}
    {{ normalise_text(column, '^[\s\pZ.,;:_*"/|#-]+|[\s\pZ,;:_*"/|#-]+$') }}
{%- endmacro %}

{# A line of an address, without commas before it or after it. #}
{% macro normalise_line(column) -%}
    {{ normalise_text(column, '^[\s\pZ,;]+|[\s\pZ,;]+$') }}
{%- endmacro %}

{# A postcode: a line of an address in upper case. #}
{% macro normalise_postcode(column) -%}
    upper({{ normalise_line(column) }})
{%- endmacro %}

{#
    What names the site of an event: its site, or the host in its address. `site_text` in include.normalise.landing says
    the same.
#}
{% macro site_text(site, url) -%}
    coalesce({{ site }}, nullif(regexp_extract({{ url }}, '://(?:[^/?#]*@)?([^/?#]*)', 1), ''))
{%- endmacro %}

{# The path of an address, with a slash at its end as the paths of content rules have. Without an address: the root. #}
{% macro path_of(url) -%}
    coalesce('/' || rtrim(regexp_extract({{ url }}, '://[^/?#]*/+([^?#]*)', 1), '/') || '/', '/')
{%- endmacro %}

{#
    An address without the values of secret parameters, in its query or its fragment or in an address inside them, and
    without a user and password. `a[token]` is a parameter `token` too. Most addresses have no = or no such name, and no
    @, and are done: to look for the names alone costs a tenth of replacing.
#}
{% macro without_secrets(url) -%}
    {%- set bare -%}
        regexp_replace({{ url }}, '^([a-zA-Z][a-zA-Z0-9+.-]*://|//)[^/?#]*@', '\1')
    {%- endset -%}
    {%- set names = var('secret_parameters', []) | join('|') | replace("'", "''") -%}
    case
        {%- if names %}
        when
            (contains({{ url }}, '=') or contains(lower({{ url }}), '%3d'))
            and regexp_matches({{ url }}, '{{ names }}', 'i')
            then regexp_replace(
                {{ bare }},
                '([?&;#]|%3f|%26|%23)((?:[^=&#?;%]*(?:\[|%5b))?(?:' || '{{ names }}' || ')(?:\]|%5d)?(?:=|%3d))[^&#]*',
                '\1\2',
                'gi'
            )
        {%- endif %}
        when contains({{ url }}, '@') then {{ bare }}
        else {{ url }}
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
    The aggregate of when what landed first was seen: the earliest moment of the first day of delivery. Both are put
    into one number, the day before the microseconds, because what an aggregate keeps of a row or a list cannot leave
    memory.
#}
{% macro first_evident(seen_at, landed_on) -%}
    make_timestamp(cast(
        min({{ day_number(landed_on) }} * 18446744073709551616 + epoch_us({{ seen_at }}) + 4611686018427387904)
        - {{ day_number('min(' ~ landed_on ~ ')') }} * 18446744073709551616 - 4611686018427387904
        as bigint
    ))
{%- endmacro %}

{% macro day_number(day) -%}
    cast(date_diff('day', date '1970-01-01', {{ day }}) as hugeint)
{%- endmacro %}

{#
    The identifiers that the rows of a relation carry, one row per node, id type and value: when seen and how often.
    `seen_at` is a column; `where` leaves rows out. Rows are first counted per node, which has one set of identifiers
    (but for customers, whose record may change), so that a hundred million events unpivot as a few million nodes.
    `evident_at` is when what landed first was seen: what comes later never changes it, as it does `first_seen_at`.
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
        evident_at,
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
            {{ first_evident(seen_at, landed_on) }} as evident_at,
            min({{ seen_at }}) as first_seen_at,
            max({{ seen_at }}) as last_seen_at,
            count(*) as observations,
        from {{ relation }}
        where
            node_key is not null
            and {{ in_part('node_key') }}
            and {{ where }}
        group by all
    ) as nodes
{%- endmacro %}
