with

node_customers as (

    select * from {{ ref('int_node_customers') }}

),

attributes as (

    select * from {{ ref('int_customer_attributes') }}

),

contacts as (

    select * from {{ ref('int_customer_contacts') }}

),

consents as (

    select * from {{ ref('int_customer_consents') }}

),

stage_points as (

    select * from {{ ref('int_customer_stage_points') }}
    where ordered_at < {{ end_of_day() }}

),

people as (

    select
        customer_id,
        max(tier) as confidence_tier,  -- the weakest: exact comes before strict
        list_sort(list(distinct channel)) as channels,
        count(*) filter (where kind = 'customers') as record_count,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at,
    from node_customers
    group by all

),

preferred_contacts as (

    select
        customer_id,
        max(id_value) filter (where id_type = 'email' and preference = 1) as email,
        max(channel) filter (where id_type = 'email' and preference = 1) as email_channel,
        max(last_seen_at) filter (where id_type = 'email' and preference = 1) as email_observed_at,
        max(id_value) filter (where id_type = 'phone' and preference = 1) as phone,
        max(channel) filter (where id_type = 'phone' and preference = 1) as phone_channel,
        max(last_seen_at) filter (where id_type = 'phone' and preference = 1) as phone_observed_at,
        list(id_value order by preference) filter (where id_type = 'email') as emails,
        list(id_value order by preference) filter (where id_type = 'phone') as phones,
    from contacts
    group by all

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

latest_points as (

    select *
    from stage_points
    qualify row_number() over (partition by customer_id order by ordered_at desc) = 1

),

final as (

    select
        people.customer_id,
        preferred_contacts.email,
        preferred_contacts.email_channel,
        preferred_contacts.phone,
        preferred_contacts.phone_channel,
        coalesce(preferred_contacts.emails, []) as emails,
        coalesce(preferred_contacts.phones, []) as phones,
        attributes.given_name,
        attributes.given_name_channel,
        attributes.family_name,
        attributes.family_name_channel,
        attributes.gender,
        attributes.gender_channel,
        attributes.street,
        attributes.city,
        attributes.region,
        attributes.postcode,
        attributes.country,
        attributes.address_channel,
        people.channels,
        people.confidence_tier,
        {{ lifecycle_stage(
            'latest_points.orders',
            "date_diff('day', latest_points.ordered_at, " ~ as_of_date() ~ ")",
            'latest_points.average_gap_days'
        ) }} as lifecycle_stage,
        people.record_count,
        coalesce(permissions.consent_email, false) as consent_email,
        coalesce(permissions.consent_advertising, false) as consent_advertising,
        attributes.birth_date,
        attributes.birth_date_channel,
        preferred_contacts.email_observed_at,
        preferred_contacts.phone_observed_at,
        attributes.given_name_observed_at,
        attributes.family_name_observed_at,
        attributes.gender_observed_at,
        attributes.address_observed_at,
        attributes.birth_date_observed_at,
        permissions.consent_email_effective_at,
        permissions.consent_advertising_effective_at,
        people.first_seen_at,
        people.last_seen_at,
    from people
    left join attributes
        on people.customer_id = attributes.customer_id
    left join preferred_contacts
        on people.customer_id = preferred_contacts.customer_id
    left join permissions
        on people.customer_id = permissions.customer_id
    left join latest_points
        on people.customer_id = latest_points.customer_id

)

select * from final
