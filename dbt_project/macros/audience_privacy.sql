{# The consent purposes without which nobody is a visitor: all of them must be granted. #}
{% macro advertising_purposes() -%}
    {{ return(var('advertising_purposes', ['advertising'])) }}
{%- endmacro %}

{% macro advertising_purpose_list() -%}
    {%- for purpose in advertising_purposes() -%}
    {{ text_literal(purpose) }}{{ ", " if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{#
    What an event's consent says of one purpose: true, false, or null when it says nothing of it. It is an object of
    purposes, each true or false, granted or denied (as Google's consent mode says it) or in another word: what is no
    grant ends one. Of advertising also a TCF string speaks (alone, or the object's `tcString`), or both: then both have
    to grant; and an object that refuses all that it does not name.
#}
{% macro stated_consent(consent, purpose, stated_at='occurred_at') -%}
    {%- set is_advertising = purpose in advertising_purposes() -%}
    {#- Names of purposes come in lower case from Segment, whatever the consent platform calls them (C0004). -#}
    {%- set answers = [] -%}
    {%- for name in [purpose, purpose | lower] | unique(case_sensitive=true) -%}
        {%- do answers.append("json_extract_string(" ~ consent ~ ", '$.\"" ~ name ~ "\"')") -%}
    {%- endfor -%}
    {%- if is_advertising -%}
        {%- do answers.append("case when " ~ refuses_others(consent) ~ " then 'false' end") -%}
    {%- endif -%}
    {%- set answer = answers[0] if answers | length == 1 else "coalesce(" ~ answers | join(", ") ~ ")" -%}
    {%- set stated -%}
        coalesce(
            try_cast({{ answer }} as boolean),
            case
                when list_contains(
                    ['{{ var("consent_grants") | join("', '") }}'],
                    replace(replace(lower({{ answer }}), ' ', '_'), '-', '_')
                ) then true
                when {{ answer }} <> '' then false
            end
        )
    {%- endset -%}
    {%- set tcf_purposes = var('tcf_advertising', [1, 3, 4]) if is_advertising else [] -%}
    {%- if tcf_purposes -%}
    case
        when starts_with({{ consent }}, '"C')
            then {{ tcf_consent("json_extract_string(" ~ consent ~ ", '$')", tcf_purposes, stated_at) | indent(8) }}
        when contains({{ consent }}, '"tcString"')
            then least(
                {{ stated }},
                {{ tcf_consent("json_extract_string(" ~ consent ~ ", '$.tcString')", tcf_purposes, stated_at)
                    | indent(16) }}
            )
        else {{ stated }}
    end
    {%- else -%}
    {{ stated }}
    {%- endif -%}
{%- endmacro %}

{# Whether an event's consent refuses all that it does not name, as a selection of Snowplow's banner does. #}
{% macro refuses_others(consent) -%}
    contains({{ consent }}, '"(others)":false')
{%- endmacro %}

{# Whether an answer of a moment comes after another one; of two of one moment the refusal holds. #}
{% macro is_later_answer(moment, answer, other_at) -%}
    ({{ moment }} > {{ other_at }} or ({{ moment }} = {{ other_at }} and not {{ answer }}.is_granted))
{%- endmacro %}

{# Whether an event of a name reports how a banner was answered; others repeat what was answered before. #}
{% macro reports_consent(name) -%}
    replace(lower(coalesce({{ name }}, '')), ' ', '_') in (
        'segment_consent_preference_updated', 'segment_consent_preference', 'consent_preferences'
    )
{%- endmacro %}

{#
    Whether a TCF string (version 2, of the IAB's Transparency and Consent Framework) grants all of some purposes; null
    when it is none, is cut short, or is of a policy that was no longer valid when it was stated: those before the
    fourth since October 2023. Its core is a string of bits, six a character: the policy's version from bit 132 on,
    purposes from bit 152 on ("TC String format", section "The core string").
    A GPP string, which begins with D, is none.
#}
{% macro tcf_consent(string, purposes, stated_at) -%}
    {%- set core = "split_part(" ~ string ~ ", '.', 1)" -%}
    {%- set masks = {} -%}
    {%- for purpose in purposes -%}
        {%- set bit = 151 + purpose -%}
        {%- set mask = 2 ** (5 - bit % 6) -%}
        {%- do masks.update({bit // 6: masks.get(bit // 6, 0) + mask}) -%}
    {%- endfor -%}
    case
        when regexp_full_match({{ core }}, 'C[A-Za-z0-9_-]{38,}')
            and ({{ tcf_character(core, 22) }} >= 4 or {{ stated_at }} < timestamp '2023-10-01')
            then
                {%- for position, mask in masks | dictsort %}
                {{ "and " if not loop.first }}{{ tcf_character(core, position) }} & {{ mask }} = {{ mask }}
                {%- endfor %}
    end
{%- endmacro %}

{# The TCF string in an event's consent, alone or beside an object of purposes; null when there is none. #}
{% macro tcf_string(consent) -%}
    case
        when starts_with({{ consent }}, '"C') then json_extract_string({{ consent }}, '$')
        when contains({{ consent }}, '"tcString"') then json_extract_string({{ consent }}, '$.tcString')
    end
{%- endmacro %}

{#
    Whether the bits of a TCF string's core grant a vendor: from bit 213 on the largest vendor told of, from 230 on
    either one bit for each vendor or ranges of those who are granted ("The core string", "Vendor consents").
#}
{% macro tcf_grants_vendor(bits, vendor) -%}
    {%- set number = "right('000000000000000' || bin(" ~ vendor ~ "), 16)" -%}
    case
        when substr({{ bits }}, 230, 1) = '1' then array_length(list_filter(
            regexp_extract_all(substr({{ bits }}, 243), '0[01]{16}|1[01]{32}')[
                1:coalesce(try_cast('0b' || substr({{ bits }}, 231, 12) as integer), 0)
            ],
            lambda entry: {{ number }} between substr(entry, 2, 16) and right(entry, 16)
        )) > 0
        else {{ number }} <= substr({{ bits }}, 214, 16) and substr({{ bits }}, 230 + {{ vendor }}, 1) = '1'
    end
{%- endmacro %}

{# The bits of a TCF string's core, as a text of zeros and ones. #}
{% macro tcf_bits(string) -%}
    array_to_string(
        list_transform(
            string_split(split_part({{ string }}, '.', 1), ''),
            lambda letter: right(
                '00000' || bin(
                    strpos('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_', letter) - 1
                ),
                6
            )
        ),
        ''
    )
{%- endmacro %}

{# The six bits of a character of base64 in the alphabet for addresses, counted from 0. #}
{% macro tcf_character(string, position) -%}
    (
        strpos(
            'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_',
            substr({{ string }}, {{ position + 1 }}, 1)
        ) - 1
    )
{%- endmacro %}

{# How often the pseudonym key has changed: ids of two epochs are never compared. #}
{% macro key_epoch() -%}
    cast({{ var('key_epoch', 1) | int }} as bigint)
{%- endmacro %}

{# The categories of pages of which nothing crosses the wall, as a relation of ids: the configured and all below. #}
{% macro sensitive_categories() -%}
    {%- set rows = [] -%}
    {%- for category_id in var('sensitive_content', []) -%}
        {%- do rows.append({'content_category_id': category_id}) -%}
    {%- endfor -%}
    {{ configured_rows(rows, {'content_category_id': 'varchar'}) }}
{%- endmacro %}

{# The categories of people that no visitor is said to be of, likewise. #}
{% macro sensitive_audiences() -%}
    {%- set rows = [] -%}
    {%- for category_id in var('sensitive_audiences', []) -%}
        {%- do rows.append({'iab_audience_id': category_id}) -%}
    {%- endfor -%}
    {{ configured_rows(rows, {'iab_audience_id': 'varchar'}) }}
{%- endmacro %}

{# What traits and their values mean in the IAB Audience Taxonomy; a value of '' stands for every value. #}
{% macro trait_taxonomy() -%}
    {{ configured_rows(var('trait_taxonomy', []), {
        'trait_id': 'varchar',
        'value': 'varchar',
        'iab_audience_id': 'varchar',
        'iab_audience_name': 'varchar',
        'is_sensitive': 'boolean',
    }) }}
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
                    and array_length({{ head }}) + array_length({{ tail }}) < 8
                )
                then array_to_string(
                    list_transform(
                        list_slice(
                            list_concat(
                                {{ head }},
                                list_resize(
                                    cast([] as varchar[]),
                                    cast(8 - array_length({{ head }}) - array_length({{ tail }}) as bigint),
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
    '(withheld)': that something was there stays visible, what it was does not. A measure, such as a share that a
    system writes with all its decimals, is no long number: it is cut to eight of them.
#}
{% macro without_identifiers(text, identifiers=[]) -%}
    case
        {%- if identifiers %}
        when {{ text }} in ({{ identifiers | join(", ") }}) then '(withheld)'
        {%- endif %}
        when regexp_full_match({{ text }}, '[+-]?\d{1,8}\.\d{9,}([eE][+-]?\d{1,2})?')
            then
                substr({{ text }}, 1, strpos({{ text }}, '.') + 8)
                || regexp_extract({{ text }}, '([eE][+-]?\d{1,2})?$', 0)
        when regexp_matches(
            {{ text }},
            '@|%40|\d{1,3}(\.\d{1,3}){3}|\+\d{7}|\d{9}|(?i)[0-9a-f]{8}-[0-9a-f]{4}|(?i)[0-9a-f]{20}'
            || '|\b([0-9a-f]{1,4}:){5,7}[0-9a-f]{1,4}\b|\b([0-9a-f]{1,4}:)+:[0-9a-f]{1,4}\b'
        ) then '(withheld)'
        -- Digits with what people write between those of a telephone number; 0.12345678 and 25000-49999 are none.
        when
            regexp_full_match(trim({{ text }}), '[+(0][0-9 ()./-]*|[0-9]+([ ()./-]+[0-9]+){2,}')
            and not regexp_full_match(trim({{ text }}), '[0-9]+\.[0-9]+')
            and length(regexp_replace({{ text }}, '[^0-9]', '', 'g')) >= 9
            then '(withheld)'
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

{#
    Refuses to write a file of the DMP side or the bridge with a column of which nobody said whether it tells who
    somebody is: `meta.pii` in the model's YAML. Hand-overs, which models learn from and audiences are exported from,
    may have pseudonyms besides; what the bridge publishes says nothing of single people.
#}
{% macro require_labels(model, sql) -%}
    {%- set side = model.config.meta.side -%}
    {%- if model.fqn[1] in ('dmp', 'bridge') or side in ('dmp', 'bridge', 'both') -%}
        {%- set allowed = {
            'bridge': ['none'],
            'staged': ['none', 'pseudonymous'],
        }.get(side, ['none', 'pseudonymous', 'indirect']) -%}
        {%- set refused = [] -%}
        {%- for column in get_column_schema_from_query(sql) -%}
            {%- set described = model.columns.get(column.name, {}) -%}
            {%- set label = described.get('config', {}).get('meta', {}).get('pii') -%}
            {%- if label not in allowed -%}
                {%- do refused.append(column.name ~ " with " ~ ("'" ~ label ~ "'" if label else "none")) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if refused -%}
            {% do exceptions.raise_compiler_error(
                model.name ~ ": found columns whose meta.pii does not let them leave: " ~ refused | join(", ")
                ~ "; allowed: " ~ allowed | join(", ")
            ) %}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
