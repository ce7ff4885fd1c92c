{%- set columns = ['product_id', 'quantity', 'amount'] -%}
with

known_orders as (

    select * from {{ ref('int_known_orders') }}
    where is_valid

),

order_lines as (

    select * from {{ ref('stg_order_lines') }}

),

event_order_lines as (

    select * from {{ ref('stg_event_order_lines') }}

),

products as (

    select * from {{ ref('int_products') }}

),

-- An order id that two channels use cannot say whose the lines are: they go with the first channel by name.
owners as (

    select
        order_id,
        min(channel) as channel,
    from {{ ref('int_customer_orders') }}
    group by all

),

changed_versions as (

    select * from {{ ref('stg_order_line_versions') }}

),

-- A line has no time of its own: what came with a channel's first delivery is known with its order.
{{ channel_starts_of('order_lines') }},

versions as (

    select
        order_lines.order_id,
        {%- for column in columns %}
        order_lines.{{ column }},
        {%- endfor %}
        case
            when order_lines.first_landed_on > channel_starts.started_on then order_lines.first_landed_on
        end as known_on,
        cast(null as date) as gone_on,
    from order_lines
    inner join channel_starts
        on order_lines.channel = channel_starts.channel
    anti join changed_versions
        on
            {{ same('order_lines', 'changed_versions', ['channel', 'order_id', 'line_number']) }}

    union all

    select
        changed_versions.order_id,
        {%- for column in columns %}
        changed_versions.{{ column }},
        {%- endfor %}
        coalesce(
            changed_versions.known_on,
            case when changed_versions.landed_on > channel_starts.started_on then changed_versions.landed_on end
        ) as known_on,
        changed_versions.gone_on,
    from changed_versions
    inner join channel_starts
        on changed_versions.channel = channel_starts.channel
    where not changed_versions.is_deleted

    union all

    -- Lines of orders that events report come with them.
    select
        order_id,
        {%- for column in columns %}
        {{ column }},
        {%- endfor %}
        cast(null as date) as known_on,
        cast(null as date) as gone_on,
    from event_order_lines

),

final as (

    select
        known_orders.customer_id,
        known_orders.channel,
        known_orders.order_id,
        versions.product_id,
        products.category,
        cast(versions.quantity as decimal(18, 4)) as quantity,
        cast(versions.amount as decimal(18, 4)) as amount,
        known_orders.occurred_at,
        greatest(known_orders.known_on, versions.known_on) as known_on,
        least(known_orders.gone_on, versions.gone_on) as gone_on,
    from versions
    inner join owners
        on versions.order_id = owners.order_id
    inner join known_orders
        on
            owners.order_id = known_orders.order_id
            and owners.channel = known_orders.channel
    left join products
        on versions.product_id = products.product_id
    where
        coalesce(versions.known_on < known_orders.gone_on, true)
        and coalesce(versions.gone_on > known_orders.known_on, true)

)

select * from final
