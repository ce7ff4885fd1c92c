with

messages as (

    select * from {{ ref('stg_messages') }}

),

node_customers as (

    select * from {{ ref('int_node_customers') }}

),

{{ channel_starts_of('messages') }},

final as (

    select
        node_customers.customer_id,
        messages.channel,
        lower(messages.medium) as medium,
        lower(messages.action) as action,
        messages.campaign_id,
        messages.occurred_at,
        {{ known_on('messages', 'messages.occurred_at') }} as known_on,
    from messages
    inner join node_customers
        on messages.node_key = node_customers.node_key
    inner join channel_starts
        on messages.channel = channel_starts.channel

)

select * from final
