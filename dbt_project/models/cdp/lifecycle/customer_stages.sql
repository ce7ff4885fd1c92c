with

node_customers as (

    select * from {{ ref('int_node_customers') }}

),

customer_identifiers as (

    select * from {{ ref('customer_identifiers') }}

),

device_ownership as (

    select * from {{ ref('device_ownership') }}

),

stage_points as (

    select * from {{ ref('int_customer_stage_points') }}

),

-- A record, an order, a contact or a message is of somebody known, and so is whatever carries more than a browser's id.
sightings as (

    select
        customer_id,
        first_seen_at as seen_at,
        kind <> 'events' as is_known,
    from node_customers

    union all

    select
        customer_id,
        first_seen_at as seen_at,
        true as is_known,
    from customer_identifiers
    where id_type in ('{{ identifier_attributes() | join("', '") }}')

    union all

    select
        customer_id,
        owned_from as seen_at,
        false as is_known,
    from device_ownership

),

beginnings as (

    select
        customer_id,
        min(seen_at) as seen_at,
        min(seen_at) filter (where is_known) as known_at,
    from sightings
    group by customer_id

),

first_orders as (

    select
        customer_id,
        min(ordered_at) as ordered_at,
    from stage_points
    group by customer_id

),

before_orders as (

    select
        beginnings.customer_id,
        beginnings.seen_at,
        beginnings.known_at,
        first_orders.ordered_at,
    from beginnings
    left join first_orders
        on beginnings.customer_id = first_orders.customer_id

),

-- Every moment at which a stage may begin. What a later order would interrupt has not begun.
moments as (

    select
        customer_id,
        case when known_at <= seen_at then 'lead' else 'visitor' end as stage,
        seen_at as entered_at,
        cast(0 as bigint) as orders,
        cast(null as double) as rhythm_days,
    from before_orders
    where seen_at < ordered_at or ordered_at is null

    union all

    select
        customer_id,
        'lead' as stage,
        known_at as entered_at,
        cast(0 as bigint) as orders,
        cast(null as double) as rhythm_days,
    from before_orders
    where
        known_at > seen_at
        and known_at < coalesce(ordered_at, {{ end_of_day() }})

    union all

    select
        customer_id,
        {{ stage_after_order('orders', 'orders_since_return') }} as stage,
        ordered_at as entered_at,
        orders,
        rhythm_days,
    from stage_points

    {%- for stage in ['at_risk', 'lapsed'] %}

    union all

    select
        customer_id,
        '{{ stage }}' as stage,
        {{ stage }}_at as entered_at,
        orders,
        rhythm_days,
    from stage_points
    where
        {{ stage }}_at < coalesce(next_ordered_at, {{ end_of_day() }})
        {%- if stage == 'at_risk' %}
        and at_risk_at < lapsed_at
        {%- endif %}
    {%- endfor %}

),

-- An order that leaves the customer in the stage begins no new interval.
changes as (

    select
        *,
        lag(stage) over (partition by customer_id order by entered_at) as previous_stage,
    from moments
    qualify previous_stage is distinct from stage

),

intervals as (

    select
        *,
        row_number() over in_order as stage_number,
        lead(entered_at) over in_order as left_at,
    from changes
    window in_order as (partition by customer_id order by entered_at)

),

final as (

    select
        customer_id,
        cast(stage_number as bigint) as stage_number,
        stage,
        previous_stage,
        orders,
        rhythm_days,
        greatest(date_diff('day', entered_at, coalesce(left_at, {{ as_of_date() }})), 0) as days_in_stage,
        left_at is null as is_current,
        entered_at,
        left_at,
    from intervals

)

select * from final
