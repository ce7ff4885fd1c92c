{# The attributes of a customer that an identifier is, and those that only a statement about a person says. #}
{% macro identifier_attributes() -%}
    {{ return(['email', 'phone', 'national_id', 'customer_number', 'loyalty_number', 'user_id']) }}
{%- endmacro %}

{% macro personal_attributes() -%}
    {{ return(['given_name', 'family_name', 'birth_date', 'gender', 'address']) }}
{%- endmacro %}

{% macro profile_attributes() -%}
    {{ return(identifier_attributes() + personal_attributes()) }}
{%- endmacro %}

{# The values of an attribute that a customer has, the preferred one first. #}
{% macro preferred(attribute) -%}
    list_transform(
        list_sort(list({'preference': preference, 'value': value}) filter (where attribute = '{{ attribute }}')),
        lambda entry: entry.value
    )
{%- endmacro %}

{# The parts of an address, which is one value: a street is never joined to another town. #}
{% macro address_parts() -%}
    {{ return(['street', 'city', 'region', 'postcode', 'country']) }}
{%- endmacro %}

{# What the rows of a relation say of a person, to unnest: one entry per personal attribute, its value as text. #}
{% macro personal_statements(relation) -%}
    [
        {%- for attribute in personal_attributes() if attribute != 'address' %}
        {
            'attribute': '{{ attribute }}',
            'value': cast({{ relation }}.{{ attribute }} as varchar),
            'completeness': 0
        },
        {%- endfor %}
        {
            'attribute': 'address',
            'value': '{' || nullif(concat_ws(
                ',',
                {%- for part in address_parts() %}
                '"{{ part }}":' || cast(to_json({{ relation }}.{{ part }}) as varchar){{ ',' if not loop.last }}
                {%- endfor %}
            ), '') || '}',
            'completeness': case
                when {{ relation }}.street is not null
                    and coalesce({{ relation }}.city, {{ relation }}.postcode) is not null then 3
                when coalesce({{ relation }}.city, {{ relation }}.postcode) is not null then 2
                when coalesce({{ relation }}.street, {{ relation }}.region) is not null then 1
                else 0
            end
        }
    ]
{%- endmacro %}

{#
    A part of the address in the traits of a log-in, by any of its names: of the object that Segment's spec has, or of
    the columns that its warehouse tables make of it, address_city for address.city.
#}
{% macro address_of_traits(names) -%}
    {%- set keys = [] -%}
    {%- for name in names -%}
        {%- do keys.append('address.' ~ name) -%}
    {%- endfor -%}
    {%- for name in names -%}
        {%- do keys.append('address_' ~ name) -%}
    {%- endfor -%}
    {{ first_json_text('traits', keys) }}
{%- endmacro %}

{# One part of an address that personal_statements put together. #}
{% macro address_part(address, part) -%}
    json_extract_string({{ address }}, '$.{{ part }}')
{%- endmacro %}

{# What profile.yml says of an attribute. #}
{% macro survivorship(attribute, key) -%}
    {{ return(var('survivorship').get(attribute, {}).get(key) or []) }}
{%- endmacro %}

{# The rules of an attribute in order; the most recent value decides where the others do not. #}
{% macro survivorship_rules(attribute) -%}
    {%- set rules = survivorship(attribute, 'rules') -%}
    {{ return(rules if 'most_recent' in rules else rules + ['most_recent']) }}
{%- endmacro %}

{# The numbers of the steps in which golden values are chosen: 0, then one per rule of the attribute with most. #}
{% macro survivorship_steps() -%}
    {%- set most = namespace(rules=1) -%}
    {%- for attribute in profile_attributes() -%}
        {%- set most.rules = [most.rules, survivorship_rules(attribute) | length] | max -%}
    {%- endfor -%}
    {{ return(range(most.rules + 1) | list) }}
{%- endmacro %}

{#
    How good a statement is by the rule of a step, the smaller the better; 0 where the attribute has no such step. How
    many sources say a value is known of values only, so `sources` is 0 for statements.
#}
{% macro survivorship_weight(step, sources='0') -%}
    case attribute
        {%- for attribute in profile_attributes() %}
        {%- set rules = survivorship_rules(attribute) %}
        {%- if step <= rules | length %}
        when '{{ attribute }}' then {{ weight_by_rule(rules[step - 1], attribute, sources) }}
        {%- endif %}
        {%- endfor %}
        else 0
    end
{%- endmacro %}

{% macro weight_by_rule(rule, attribute, sources) -%}
    {%- if rule == 'verified' -%}
        -verification
    {%- elif rule == 'source_priority' -%}
        {%- set channels = survivorship(attribute, 'source_priority') -%}
        {%- if channels -%}
        case channel
        {%- for channel in channels %} when '{{ channel }}' then {{ loop.index0 }}{% endfor %}
        else {{ channels | length }}
        {{- ' end' }}
        {%- else -%}
        0
        {%- endif -%}
    {%- elif rule == 'most_recent' -%}
        -epoch_us(last_observed_at)
    {%- elif rule == 'oldest' -%}
        epoch_us(first_observed_at)
    {%- elif rule == 'most_frequent' -%}
        -{{ sources }}
    {%- elif rule == 'most_complete' -%}
        -completeness
    {%- endif -%}
{%- endmacro %}

{# The rule that sets two values of an attribute apart: the first step at which their weights differ. #}
{% macro deciding_rule(winner, other) -%}
    case
        when {{ other }}.step_0 is null then 'only_value'
        when {{ winner }}.step_0 <> {{ other }}.step_0 then 'still_said'
        {%- for step in survivorship_steps() if step > 0 %}
        when {{ winner }}.step_{{ step }} <> {{ other }}.step_{{ step }}
            then case attribute
                {%- for attribute in profile_attributes() if step <= survivorship_rules(attribute) | length %}
                when '{{ attribute }}' then '{{ survivorship_rules(attribute)[step - 1] }}'
                {%- endfor %}
            end
        {%- endfor %}
        else 'name'
    end
{%- endmacro %}

{#
    How far a statement is proven: 2 verified, 1 as good as any, 0 an e-mail address or phone number that cannot be
    reached. profile.yml says which channels and which facts prove a value.
#}
{% macro verification(attribute, channel, facts) -%}
    case {{ attribute }}
        {%- for name in profile_attributes() %}
        {%- set channels, proofs = survivorship(name, 'verified_channels'), survivorship(name, 'verified_by') %}
        {%- if name in ['email', 'phone'] or channels %}
        when '{{ name }}' then case
            {%- if name in ['email', 'phone'] %}
            when {{ facts }}.is_unreachable or {{ facts }}.is_shared then 0
            {%- endif %}
            {%- if channels %}
            when list_contains(['{{ channels | join("', '") }}'], {{ channel }}) then 2
            {%- endif %}
            {%- for proof in proofs %}
            when {{ facts }}.is_{{ proof }} then 2
            {%- endfor %}
            else 1
        end
        {%- endif %}
        {%- endfor %}
        else 1
    end
{%- endmacro %}

{# The names under which consent records ask for a purpose, privacy.yml says so; its own name when it does not. #}
{% macro names_of_purpose(purpose) -%}
    '{{ var("consent_purposes").get(purpose, [purpose]) | join("', '") }}'
{%- endmacro %}

{# Every purpose with each of its names, as structs; of e-mail also where privacy.yml does not speak of it. #}
{% macro names_of_purposes() -%}
    {%- set found = [] -%}
    {%- for purpose, names in dict({'email': ['email']}, **var('consent_purposes')).items() -%}
        {%- for name in names -%}
            {%- do found.append(
                "{'purpose': " ~ text_literal(purpose) ~ ", 'name': " ~ text_literal(name) ~ "}"
            ) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ found | join(', ') }}
{%- endmacro %}

{# The names of all purposes, each once; of e-mail also where privacy.yml does not speak of it. #}
{% macro purpose_names() -%}
    {%- set purposes = dict({'email': ['email']}, **var('consent_purposes')) -%}
    {{ return(purposes.values() | sum(start=[]) | unique(case_sensitive=true) | list) }}
{%- endmacro %}

{# True when every name of the purpose is granted: no statement is no grant. #}
{% macro grants(purpose) -%}
    count(*) filter (where is_granted and purpose in ({{ names_of_purpose(purpose) }}))
    = {{ var('consent_purposes').get(purpose, [purpose]) | length }}
{%- endmacro %}

{# When the latest statement on any name of the purpose took effect. #}
{% macro latest_statement(purpose) -%}
    max(effective_at) filter (where purpose in ({{ names_of_purpose(purpose) }}))
{%- endmacro %}

{# The stage that an order leads to; it lasts until the rhythm is exceeded or another order changes it. #}
{% macro stage_after_order(orders, orders_since_return) -%}
    case
        when {{ orders_since_return }} < {{ var('lifecycle_won_back_orders') }} then 'won_back'
        when {{ orders }} = 1 then 'first_time'
        when {{ orders }} < {{ var('lifecycle_loyal_orders') }} then 'active'
        else 'loyal'
    end
{%- endmacro %}

{#
    Where a customer stands by the counts of a day: as `stage_after_order` and the silence since then say it, but for
    who was won back, which counts do not tell.
#}
{% macro stage_by_counts(orders, days_since_last_order, average_gap_days) -%}
    {%- set rhythm -%}
        greatest(
            (
                {{ var('lifecycle_default_gap_weight') * var('lifecycle_default_gap_days') }}
                + coalesce({{ average_gap_days }}, 0) * ({{ orders }} - 1)
            ) / ({{ var('lifecycle_default_gap_weight') }} + {{ orders }} - 1),
            {{ var('lifecycle_minimum_gap_days') }}
        )
    {%- endset -%}
    case
        when coalesce({{ orders }}, 0) = 0 then 'lead'
        when {{ days_since_last_order }} > {{ var('lifecycle_lapsed_after') }} * {{ rhythm }} then 'lapsed'
        when {{ days_since_last_order }} > {{ var('lifecycle_at_risk_after') }} * {{ rhythm }} then 'at_risk'
        else {{ stage_after_order(orders, 'null') }}
    end
{%- endmacro %}

{# The beginning of the first day on which the silence since an order is longer than so many times the rhythm. #}
{% macro silent_since(ordered_at, rhythm_days, times) -%}
    cast(
        cast({{ ordered_at }} as date) + cast(floor({{ times }} * {{ rhythm_days }}) + 1 as integer) as timestamp
    )
{%- endmacro %}

{# True in the given number of days that end with the cut-off, which the relation `eligible` names. #}
{% macro within_days(column, days) -%}
    {{ column }} >= eligible.cutoff_at - interval {{ days }} day
{%- endmacro %}
