with

landed as (

    select * from {{ ref('stg_landed_counts') }}

),

node_customers as not materialized (

    select * from {{ ref('int_node_customers') }}

),

customers as (

    select * from {{ ref('stg_customers') }}

),

events as (

    select * from {{ ref('stg_events') }}

),

orders as (

    select * from {{ ref('stg_orders') }}

),

order_lines as (

    select * from {{ ref('stg_order_lines') }}

),

products as (

    select * from {{ ref('stg_products') }}

),

interactions as (

    select * from {{ ref('stg_interactions') }}

),

messages as (

    select * from {{ ref('stg_messages') }}

),

traits as (

    select * from {{ ref('stg_traits') }}

),

consents as (

    select * from {{ ref('stg_consents') }}

),

customer_events as (

    select * from {{ ref('int_customer_events') }}

),

customer_orders as (

    select * from {{ ref('int_customer_orders') }}

),

customer_order_lines as (

    select * from {{ ref('int_customer_order_lines') }}

),

customer_records as (

    select * from {{ ref('customer_records') }}

),

customer_identifiers as (

    select distinct
        id_type,
        id_value,
    from {{ ref('customer_identifiers') }}

),

-- A row is published when a row of the named table comes from it. The others are strangers' and robots', what no
-- customer claims, and what serves other tables: off-site events and traits, the catalogue.
counted as (

    select
        'customers' as kind,
        customers.channel,
        'customer_records' as published_table,
        count(*) as staged_rows,
        count(customer_records.record_id) as published_rows,
    from customers
    left join customer_records
        on
            customers.channel = customer_records.channel
            and customers.record_id = customer_records.record_id
    group by all
    {%- for kind, published, channel in [
        ('events', 'customer_events', 'channel'),
        ('orders', 'customer_orders', 'channel'),
        ('order_lines', 'customer_order_lines', 'line_channel'),
    ] %}

    union all

    -- Counted on both sides: to join every event with itself takes ten times as much.
    select
        '{{ kind }}' as kind,
        channel,
        'customer_timeline' as published_table,
        count(*) filter (where not is_published) as staged_rows,
        count(*) filter (where is_published) as published_rows,
    from (
        select
            channel,
            false as is_published,
        from {{ kind }}

        union all

        select
            {{ channel }} as channel,
            true as is_published,
        from {{ published }}
    ) as rows_of_{{ kind }}
    group by channel
    {%- endfor %}

    union all

    select
        'products' as kind,
        channel,
        cast(null as varchar) as published_table,
        count(*) as staged_rows,
        0 as published_rows,
    from products
    group by all

    union all

    select
        'interactions' as kind,
        interactions.channel,
        'customer_timeline' as published_table,
        count(*) as staged_rows,
        count(node_customers.customer_id) as published_rows,
    from interactions
    left join node_customers
        on interactions.node_key = node_customers.node_key
    group by all

    union all

    select
        'messages' as kind,
        messages.channel,
        'customer_timeline' as published_table,
        count(*) as staged_rows,
        count(node_customers.customer_id) as published_rows,
    from messages
    left join node_customers
        on messages.node_key = node_customers.node_key
    group by all

    union all

    select
        'traits' as kind,
        channel,
        cast(null as varchar) as published_table,
        count(*) as staged_rows,
        0 as published_rows,
    from traits
    group by all

    union all

    select
        'consents' as kind,
        consents.channel,
        'customers' as published_table,
        count(*) as staged_rows,
        count(customer_identifiers.id_value) as published_rows,
    from consents
    left join customer_identifiers
        on
            consents.id_type = customer_identifiers.id_type
            and consents.id_value = customer_identifiers.id_value
    group by all

),

final as (

    select
        landed.kind,
        landed.channel,
        landed.landed_rows,
        coalesce(counted.staged_rows, 0) as staged_rows,
        landed.superseded_rows,
        landed.deleted_rows,
        counted.published_table,
        coalesce(counted.published_rows, 0) as published_rows,
        coalesce(counted.staged_rows - counted.published_rows, 0) as unattributed_rows,
    from landed
    left join counted
        on
            landed.kind = counted.kind
            and landed.channel = counted.channel

)

select * from final
