{#- What a person record says of somebody that may be learned from; how to reach them may not. -#}
with

customer_versions as (

    select * from {{ ref('stg_customer_versions') }}

),

node_customers as (

    select * from {{ ref('int_node_customers') }}

),

{{ channel_starts_of('customer_versions', 'landed_on') }},

said as (

    select
        node_customers.customer_id,
        map_entries(customer_versions.attributes) || [
            {'key': 'gender', 'value': customer_versions.gender},
            {'key': 'region', 'value': customer_versions.region},
            {'key': 'country', 'value': customer_versions.country},
            {'key': 'born_on', 'value': cast(customer_versions.birth_date as varchar)},
        ] as entries,
        customer_versions.observed_at as occurred_at,
        {{ known_on('customer_versions', 'customer_versions.observed_at', 'landed_on') }} as known_on,
        row_number() over (
            order by
                customer_versions.observed_at,
                customer_versions.landed_on,
                customer_versions.channel,
                customer_versions.record_id,
                customer_versions.source_file,
                customer_versions.source_row
        ) as version_number,
    from customer_versions
    inner join node_customers
        on customer_versions.node_key = node_customers.node_key
    inner join channel_starts
        on customer_versions.channel = channel_starts.channel

),

entries as (

    select
        customer_id,
        unnest(entries) as entry,
        occurred_at,
        known_on,
        version_number,
    from said

),

named as (

    select
        customer_id,
        trim(regexp_replace(lower(entry.key), '[^a-z0-9]+', '_', 'g'), '_') as attribute,
        trim(entry.value) as value,
        occurred_at,
        known_on,
        version_number,
    from entries
    where nullif(trim(entry.value), '') is not null

),

-- An age that a source writes down beside a birth date is out of date; features count their own.
final as (

    select * from named
    where attribute <> 'age_years'

)

select * from final
