{# A golden attribute: the most recent value that is not empty, and where and when it was said. #}
{% macro latest_value(attribute, said='is not null') -%}
    {%- set condition = attribute ~ ' ' ~ said -%}
    arg_max({{ attribute }}, version_number) filter (where {{ condition }}) as {{ attribute }},
    arg_max(channel, version_number) filter (where {{ condition }}) as {{ attribute }}_channel,
    arg_max(observed_at, version_number) filter (where {{ condition }}) as {{ attribute }}_observed_at
{%- endmacro %}

{# The names under which consent records ask for a purpose, privacy.yml says so; its own name when it does not. #}
{% macro names_of_purpose(purpose) -%}
    '{{ var("consent_purposes").get(purpose, [purpose]) | join("', '") }}'
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

{#
    Where a customer stands, judged by their own rhythm: the average days between their orders, at least
    `lifecycle_minimum_gap_days`, and `lifecycle_default_gap_days` while there is one order only.
    lead: no order. Up to twice the rhythm since the last order: first_time (one order), active, or loyal (from
    `lifecycle_loyal_orders` orders). Up to four times: at_risk. Longer: lapsed.
#}
{% macro lifecycle_stage(orders, days_since_last_order, average_gap_days) -%}
    {%- set rhythm -%}
        case
            when {{ orders }} = 1 then {{ var('lifecycle_default_gap_days') }}
            else greatest({{ average_gap_days }}, {{ var('lifecycle_minimum_gap_days') }})
        end
    {%- endset -%}
    case
        when coalesce({{ orders }}, 0) = 0 then 'lead'
        when {{ days_since_last_order }} > 4 * ({{ rhythm }}) then 'lapsed'
        when {{ days_since_last_order }} > 2 * ({{ rhythm }}) then 'at_risk'
        when {{ orders }} = 1 then 'first_time'
        when {{ orders }} < {{ var('lifecycle_loyal_orders') }} then 'active'
        else 'loyal'
    end
{%- endmacro %}

{# True in the given number of days that end with the cut-off, which the relation `eligible` names. #}
{% macro within_days(column, days) -%}
    {{ column }} >= eligible.cutoff_at - interval {{ days }} day
{%- endmacro %}
