{%- set columns = ['type', 'direction', 'reason', 'outcome', 'duration_seconds', 'satisfaction', 'occurred_at'] -%}
with

interactions as (

    select * from {{ ref('stg_interactions') }}

),

node_customers as (

    select * from {{ ref('int_node_customers') }}

),

changed_versions as (

    select * from {{ ref('stg_interaction_versions') }}

),

{{ channel_starts_of('interactions') }},

versions as (

    select
        interactions.channel,
        interactions.interaction_id,
        {%- for column in columns %}
        interactions.{{ column }},
        {%- endfor %}
        {{ known_on('interactions', 'interactions.occurred_at') }} as known_on,
        cast(null as date) as gone_on,
    from interactions
    inner join channel_starts
        on interactions.channel = channel_starts.channel
    anti join changed_versions
        on
            {{ same('interactions', 'changed_versions', ['channel', 'interaction_id']) }}

    union all

    select
        changed_versions.channel,
        changed_versions.interaction_id,
        {%- for column in columns %}
        changed_versions.{{ column }},
        {%- endfor %}
        coalesce(
            changed_versions.known_on, {{ known_on('changed_versions', 'changed_versions.occurred_at', 'landed_on') }}
        ) as known_on,
        changed_versions.gone_on,
    from changed_versions
    inner join channel_starts
        on changed_versions.channel = channel_starts.channel
    where not changed_versions.is_deleted

),

final as (

    select
        node_customers.customer_id,
        versions.channel,
        versions.type,
        versions.direction,
        versions.reason,
        versions.outcome,
        cast(versions.duration_seconds as double) as duration_seconds,
        cast(versions.satisfaction as double) as satisfaction,
        versions.occurred_at,
        versions.known_on,
        versions.gone_on,
    from versions
    inner join interactions
        on
            versions.channel = interactions.channel
            and versions.interaction_id = interactions.interaction_id
    inner join node_customers
        on interactions.node_key = node_customers.node_key

)

select * from final
