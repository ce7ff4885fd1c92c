{#
    A pseudonym of a person, under the same key as visitor ids but of a type that no identifier has: whoever lacks the
    key cannot compute it from a customer id. Each purpose has its own, so that what one learned cannot be joined with
    what another did.
#}
{% macro person_key(person, purpose='seed') -%}
    'p' || substr({{ visitor_id("'person for " ~ purpose ~ "'", person) }}, 1, 24)
{%- endmacro %}

{# Beyond these a match says more about a shared device or a shared log-in than about a person. #}
{% macro max_persons_per_visitor() -%}
    {{ return(10) }}
{%- endmacro %}

{% macro max_visitors_per_person() -%}
    {{ return(100) }}
{%- endmacro %}

{# An e-mail address as other parties hash it: SHA-256 in lower-case hex of the normalised address, without salt. #}
{% macro hashed_email(email) -%}
    sha256({{ email }})
{%- endmacro %}

{# The keys under which trackers send such a hash with an event. #}
{% macro hashed_email_keys() -%}
    {{ return(['hashed_email', 'email_sha256', 'sha256_email_address', 'hem']) }}
{%- endmacro %}

{# Whether a JSON text can hold one: most events have none, and are not parsed. #}
{% macro may_hold_hashed_email(json) -%}
    (
        {%- for key in hashed_email_keys() %}
        {{ "or " if not loop.first }}contains({{ json }}, '"{{ key }}"')
        {%- endfor %}
    )
{%- endmacro %}

{# The hash that a JSON text holds; null when there is none. #}
{% macro stated_hashed_email(json) -%}
    {%- set stated -%}
    coalesce(
        {%- for key in hashed_email_keys() %}
        json_extract_string({{ json }}, '$.{{ key }}'){{ "," if not loop.last }}
        {%- endfor %}
    )
    {%- endset -%}
    {{ usable_hash(stated) }}
{%- endmacro %}
