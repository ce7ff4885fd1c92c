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

edges as (

    select * from {{ ref('int_identity_edges') }}

),

node_customers as (

    select * from {{ ref('int_node_customers') }}

),

contact_facts as (

    select * from {{ ref('int_contact_facts') }}

),

-- Of two versions of one moment the later delivery holds, as everywhere.
numbered_versions as (

    select
        *,
        row_number() over (
            partition by node_key
            order by observed_at, landed_on, source_file, source_row
        ) as version_number,
    from customer_versions

),

said_by_records as (

    select
        node_key,
        unnest({{ personal_statements('numbered_versions') }}, recursive := true),
        observed_at,
        version_number,
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
        {{ normalise_line(first_json_text('traits', ['address.street'])) }} as street,
        {{ normalise_line(first_json_text('traits', ['address.city'])) }} as city,
        {{ normalise_line(first_json_text('traits', ['address.state', 'address.region'])) }} as region,
        {{ normalise_postcode(first_json_text('traits', ['address.postalCode', 'address.postcode'])) }} as postcode,
        {{ country_code(first_json_text('traits', ['address.country'])) }} as country,
        first_observed_at,
        last_observed_at,
    from traits

),

said_by_traits as (

    select
        node_key,
        unnest({{ personal_statements('traits_read') }}, recursive := true),
        first_observed_at,
        last_observed_at,
    from traits_read

),

statements as (

    select
        node_key,
        attribute,
        value,
        max(completeness) as completeness,
        max(version_number) as version_number,
        min(observed_at) as first_observed_at,
        max(observed_at) as last_observed_at,
        true as is_active,
        false as is_shared,
    from said_by_records
    where value is not null
    group by all

    union all

    select
        node_key,
        attribute,
        value,
        max(completeness) as completeness,
        0 as version_number,
        min(first_observed_at) as first_observed_at,
        max(last_observed_at) as last_observed_at,
        true as is_active,
        false as is_shared,
    from said_by_traits
    where value is not null
    group by all

    union all

    -- Blocked values (noreply@, shared by too many) and removed edges are said too, but nobody's golden value. What a
    -- household shares is still how to reach each of them whose own record says so.
    select
        node_key,
        id_type as attribute,
        id_value as value,
        0 as completeness,
        0 as version_number,
        first_seen_at as first_observed_at,
        last_seen_at as last_observed_at,
        status = 'active' or reason = 'not_configured' as is_active,
        coalesce(reason like 'shared%', false) as is_shared,
    from edges
    where list_contains(['{{ identifier_attributes() | join("', '") }}'], id_type)

),

-- A source is a person record, or what a customer does in one kind of rows of a channel.
by_source as (

    select
        node_customers.customer_id,
        statements.attribute,
        statements.value,
        node_customers.channel,
        node_customers.kind,
        node_customers.record_id,
        statements.is_shared,
        statements.is_active or (statements.is_shared and node_customers.kind = 'customers') as is_active,
        max(statements.completeness) as completeness,
        max(statements.version_number) as version_number,
        min(statements.first_observed_at) as first_observed_at,
        max(statements.last_observed_at) as last_observed_at,
    from statements
    inner join node_customers
        on statements.node_key = node_customers.node_key
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
