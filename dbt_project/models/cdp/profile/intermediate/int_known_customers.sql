with

evidence as (

    select * from {{ ref('identity_evidence') }}

),

node_customers as (

    select * from {{ ref('int_node_customers') }}

),

channel_starts as (

    select
        kind,
        channel,
        min(landed_on) as started_on,
    from evidence
    group by all

),

final as (

    select
        node_customers.customer_id,
        {{ known_on('evidence', 'evidence.first_seen_at', 'landed_on') }} as known_on,
        min(evidence.first_seen_at) as occurred_at,
    from evidence
    inner join node_customers
        on evidence.node_key = node_customers.node_key
    inner join channel_starts
        on
            evidence.kind = channel_starts.kind
            and evidence.channel = channel_starts.channel
    group by all

)

select * from final
