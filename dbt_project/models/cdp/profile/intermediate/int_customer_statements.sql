with

customer_versions as (

    select * from {{ ref('stg_customer_versions') }}

),

events as (

    select * from {{ ref('stg_events') }}
    where
        type = 'identify'
        and is_owned_site
        and not is_bot

),

countries as (

    select * from {{ ref('stg_countries') }}

),

edges as (

    select * from {{ ref('int_identity_edges') }}

),

node_customers as not materialized (

    select * from {{ ref('int_node_customers') }}

),

contact_facts as (

    select * from {{ ref('int_contact_facts') }}

),

-- Of two versions of one moment the later delivery holds, as everywhere.
numbered_versions as (

    select
        customer_versions.*,
        node_customers.customer_id,
        node_customers.kind,
        row_number() over (
            partition by customer_versions.node_key
            order by
                customer_versions.observed_at,
                customer_versions.landed_on,
                customer_versions.source_file,
                customer_versions.source_row
        ) as version_number,
    from customer_versions
    inner join node_customers
        on customer_versions.node_key = node_customers.node_key

),

said_by_records as (

    select
        customer_id,
        channel,
        kind,
        record_id,
        unnest({{ personal_statements('numbered_versions') }}, recursive := true),
        version_number,
        observed_at as first_observed_at,
        observed_at as last_observed_at,
    from numbered_versions

),

-- A tracker repeats the traits of a person at each log-in; most of it is the same text.
traits as (

    select
        node_key,
        traits,
        min(occurred_at) as first_observed_at,
        max(occurred_at) as last_observed_at,
    from events
    where traits is not null
    group by all

),

traits_read as (

    select
        node_key,
        {{ normalise_name(first_json_text('traits', ['firstName', 'first_name', 'given_name'])) }} as given_name,
        {{ normalise_name(first_json_text('traits', ['lastName', 'last_name', 'family_name'])) }} as family_name,
        try_cast(
            left({{ first_json_text('traits', ['birthday', 'birth_date', 'date_of_birth']) }}, 10) as date
        ) as birth_date,
        {{ first_json_text('traits', ['gender']) }} as gender,
        {{ normalise_line(address_of_traits(['street'])) }} as street,
        {{ normalise_line(address_of_traits(['city'])) }} as city,
        {{ normalise_line(address_of_traits(['state', 'region'])) }} as region,
        {{ normalise_postcode(address_of_traits(['postalCode', 'postal_code', 'postcode'])) }} as postcode,
        {{ address_of_traits(['country']) }} as country_text,
        first_observed_at,
        last_observed_at,
    from traits

),

known_traits as (

    select
        traits_read.* exclude (country_text),
        countries.country,
        node_customers.customer_id,
        node_customers.channel,
        node_customers.kind,
        node_customers.record_id,
    from traits_read
    left join countries
        on traits_read.country_text = countries.country_text
    inner join node_customers
        on traits_read.node_key = node_customers.node_key

),

said_by_traits as (

    select
        customer_id,
        channel,
        kind,
        record_id,
        unnest({{ personal_statements('known_traits') }}, recursive := true),
        0 as version_number,
        first_observed_at,
        last_observed_at,
    from known_traits

),

-- Blocked values (noreply@, shared by too many) and removed edges are said too, but nobody's golden value. What a
-- household shares is still how to reach each of them whose own record says so.
said_by_identifiers as (

    select
        node_customers.customer_id,
        node_customers.channel,
        node_customers.kind,
        node_customers.record_id,
        edges.id_type as attribute,
        edges.id_value as value,
        0 as completeness,
        0 as version_number,
        edges.first_seen_at as first_observed_at,
        edges.last_seen_at as last_observed_at,
        coalesce(edges.reason like 'shared%', false) as is_shared,
        edges.status = 'active'
        or edges.reason = 'not_configured'
        or (coalesce(edges.reason like 'shared%', false) and node_customers.kind = 'customers') as is_active,
    from edges
    inner join node_customers
        on edges.node_key = node_customers.node_key
    where list_contains(['{{ identifier_attributes() | join("', '") }}'], edges.id_type)

),

statements as (

    select
        *,
        false as is_shared,
        true as is_active,
    from said_by_records
    where value is not null

    union all by name

    select
        *,
        false as is_shared,
        true as is_active,
    from said_by_traits
    where value is not null

    union all by name

    select * from said_by_identifiers

),

-- A source is a person record, or what a customer does in one kind of rows of a channel.
by_source as (

    select
        customer_id,
        attribute,
        value,
        channel,
        kind,
        record_id,
        is_shared,
        is_active,
        max(completeness) as completeness,
        max(version_number) as version_number,
        min(first_observed_at) as first_observed_at,
        max(last_observed_at) as last_observed_at,
    from statements
    group by all

),

final as (

    select
        by_source.customer_id,
        by_source.attribute,
        by_source.value,
        -- JANE and Jane are one name; an id is what it is.
        case
            when list_contains(['{{ personal_attributes() | join("', '") }}'], by_source.attribute)
                then lower(by_source.value)
            else by_source.value
        end as compared_value,
        by_source.channel,
        by_source.kind,
        by_source.record_id,
        by_source.is_active,
        row_number() over (
            partition by
                by_source.customer_id,
                by_source.attribute,
                by_source.channel,
                by_source.kind,
                by_source.record_id
            order by
                by_source.is_active desc,
                by_source.is_shared,
                by_source.completeness desc,
                by_source.last_observed_at desc,
                by_source.version_number desc,
                by_source.value
        ) = 1 as is_current,
        {{ verification('by_source.attribute', 'by_source.channel', 'contact_facts') }} as verification,
        by_source.completeness,
        by_source.first_observed_at,
        by_source.last_observed_at,
    from by_source
    left join contact_facts
        on
            by_source.attribute = contact_facts.id_type
            and by_source.value = contact_facts.id_value

)

select * from final
