{{ config(meta={
    'in_parts_of': 'stg_events',
    'parted_by': 'node_key',
    'counted': 'node_key',
    'at_a_time': 'nodes_at_a_time',
}) }}
with

customer_versions as not materialized (

    select * from {{ ref('stg_customer_versions') }}

),

events as (

    select * from {{ ref('stg_events') }}

),

orders as (

    select * from {{ ref('stg_orders') }}

),

interactions as (

    select * from {{ ref('stg_interactions') }}

),

messages as (

    select * from {{ ref('stg_messages') }}

),

unpivoted as (

    {{ evidence_of('customer_versions', 'customers', 'observed_at', landed_on='landed_on') }}

    union all

    {{ evidence_of('events', 'events', 'occurred_at', where='is_owned_site and not is_bot') }}

    union all

    {{ evidence_of('orders', 'orders', 'ordered_at') }}

    union all

    {{ evidence_of('interactions', 'interactions', 'occurred_at') }}

    union all

    {{ evidence_of('messages', 'messages', 'occurred_at') }}

),

identified as (

    select
        node_key,
        kind,
        channel,
        record_id,
        id_type,
        id_value,
        min(landed_on) as landed_on,
        {{ first_evident('evident_at', 'landed_on') }} as evident_at,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at,
        cast(sum(observations) as bigint) as observations,
    from unpivoted
    where id_value is not null
    group by all

),

-- A person record without any identifier is a customer of its own; without a row here it would get lost.
unidentified as (

    select
        node_key,
        'customers' as kind,
        channel,
        record_id,
        cast(null as varchar) as id_type,
        cast(null as varchar) as id_value,
        min(landed_on) as landed_on,
        {{ first_evident('observed_at', 'landed_on') }} as evident_at,
        min(observed_at) as first_seen_at,
        max(observed_at) as last_seen_at,
        count(*) as observations,
    from customer_versions
    where
        node_key is not null
        and {{ in_part('node_key') }}
    group by all
    having count(coalesce({{ identifiers_of('customers') | join(', ') }})) = 0

),

final as (

    select * from identified

    union all

    select * from unidentified

)

select * from final
