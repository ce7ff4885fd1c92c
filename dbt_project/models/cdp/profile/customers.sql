{{ config(meta={'in_parts_of': 'int_customer_values', 'at_a_time': 'values_at_a_time'}) }}

{%- set identifiers = ['national_id', 'customer_number', 'loyalty_number', 'user_id'] -%}

with

node_customers as (

    select * from {{ ref('int_node_customers') }}
    where {{ in_part('customer_id') }}

),

attributes as (

    select * from {{ ref('customer_attributes') }}
    where {{ in_part('customer_id') }}

),

customer_values as (

    select * from {{ ref('int_customer_values') }}
    where
        step_0 < 3
        and {{ in_part('customer_id') }}

),

device_ownership as (

    select * from {{ ref('device_ownership') }}
    where {{ in_part('customer_id') }}

),

consents as (

    select * from {{ ref('int_customer_consents') }}
    where {{ in_part('customer_id') }}

),

stages as (

    select * from {{ ref('customer_stages') }}
    where
        is_current
        and {{ in_part('customer_id') }}

),

people as (

    select
        customer_id,
        -- What ties the records to one another; a browser that is tied to them says nothing of it, whoever has the id.
        case
            when
                coalesce(
                    nullif(count(distinct exact_id) filter (where kind = 'customers'), 0), count(distinct exact_id)
                ) > 1
                then 'strict'
            else 'exact'
        end as confidence_tier,
        list_sort(list(distinct channel)) as channels,
        count(*) filter (where kind = 'customers') as record_count,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at,
    from node_customers
    group by all

),

golden as (

    select
        customer_id,
        {%- for attribute in profile_attributes() %}
        max(value) filter (where attribute = '{{ attribute }}') as {{ attribute }},
        max(channel) filter (where attribute = '{{ attribute }}') as {{ attribute }}_channel,
        max(observed_at) filter (where attribute = '{{ attribute }}') as {{ attribute }}_observed_at,
        {%- endfor %}
    from attributes
    group by customer_id

),

contacts as (

    select
        customer_id,
        {{ preferred('email') }} as emails,
        {{ preferred('phone') }} as phones,
    from customer_values
    where attribute in ('email', 'phone')
    group by customer_id

),

-- What somebody did on a shared device before they said who they are is known of the device alone.
devices as (

    select
        customer_id,
        min(owned_from) as owned_from,
        max(owned_until) as owned_until,
    from device_ownership
    group by customer_id

),

permissions as (

    select
        customer_id,
        {{ grants('email') }} as consent_email,
        {{ latest_statement('email') }} as consent_email_effective_at,
        {{ grants('advertising') }} as consent_advertising,
        {{ latest_statement('advertising') }} as consent_advertising_effective_at,
    from consents
    group by all

),

final as (

    select
        people.customer_id,
        golden.email,
        golden.email_channel,
        golden.phone,
        golden.phone_channel,
        coalesce(contacts.emails, []) as emails,
        coalesce(contacts.phones, []) as phones,
        {%- for attribute in ['given_name', 'family_name', 'gender'] %}
        golden.{{ attribute }},
        golden.{{ attribute }}_channel,
        {%- endfor %}
        {%- for part in address_parts() %}
        {{ address_part('golden.address', part) }} as {{ part }},
        {%- endfor %}
        golden.address_channel,
        {%- for attribute in identifiers %}
        golden.{{ attribute }},
        golden.{{ attribute }}_channel,
        {%- endfor %}
        people.channels,
        people.confidence_tier,
        stages.stage as lifecycle_stage,
        people.record_count,
        coalesce(permissions.consent_email, false) as consent_email,
        coalesce(permissions.consent_advertising, false) as consent_advertising,
        cast(golden.birth_date as date) as birth_date,
        golden.birth_date_channel,
        {%- for attribute in profile_attributes() %}
        golden.{{ attribute }}_observed_at,
        {%- endfor %}
        permissions.consent_email_effective_at,
        permissions.consent_advertising_effective_at,
        least(people.first_seen_at, devices.owned_from) as first_seen_at,
        greatest(people.last_seen_at, devices.owned_until) as last_seen_at,
    from people
    left join golden
        on people.customer_id = golden.customer_id
    left join contacts
        on people.customer_id = contacts.customer_id
    left join devices
        on people.customer_id = devices.customer_id
    left join permissions
        on people.customer_id = permissions.customer_id
    left join stages
        on people.customer_id = stages.customer_id

)

select * from final
