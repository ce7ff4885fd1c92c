with

customer_versions as (

    select * from {{ ref('stg_customer_versions') }}
    where
        cardinality(attributes) > 0
        or cardinality(rejected_values) > 0

),

node_customers as (

    select * from {{ ref('int_node_customers') }}

),

entries as (

    select
        node_key,
        unnest(map_entries(attributes)) as entry,
        false as is_rejected,
        observed_at,
    from customer_versions

    union all

    select
        node_key,
        unnest(map_entries(rejected_values)) as entry,
        true as is_rejected,
        observed_at,
    from customer_versions

),

final as (

    select
        node_customers.customer_id,
        node_customers.channel,
        node_customers.record_id,
        entries.entry.key as column_name,
        entries.entry.value as value,
        entries.is_rejected,
        min(entries.observed_at) as first_observed_at,
        max(entries.observed_at) as last_observed_at,
    from entries
    inner join node_customers
        on entries.node_key = node_customers.node_key
    where entries.entry.value is not null
    group by all

)

select * from final
