with

consents as (

    select * from {{ ref('stg_consents') }}

),

customer_identifiers as (

    select * from {{ ref('customer_identifiers') }}

),

{{ channel_starts_of('consents') }},

-- Of two statements of one moment on one purpose the refusal holds.
statements as (

    select
        customer_identifiers.customer_id,
        consents.purpose,
        arg_max(consents.channel, (consents.status, consents.channel)) as channel,
        case
            when bool_or(consents.status = 'denied') then 'denied'
            when bool_or(consents.status = 'unknown') then 'unknown'
            else 'granted'
        end as status,
        consents.effective_at as occurred_at,
        min({{ known_on('consents', 'consents.effective_at') }}) as known_on,
    from consents
    inner join channel_starts
        on consents.channel = channel_starts.channel
    inner join customer_identifiers
        on
            consents.id_type = customer_identifiers.id_type
            and consents.id_value = customer_identifiers.id_value
    group by
        customer_identifiers.customer_id,
        consents.purpose,
        consents.effective_at

),

-- A later statement on the purpose takes its place on the day it is received, which may be before an older one comes.
final as (

    select
        customer_id,
        channel,
        purpose,
        status,
        status = 'granted' as is_granted,
        occurred_at,
        known_on,
        min(greatest(known_on, cast(occurred_at as date))) over (
            partition by customer_id, purpose
            order by occurred_at
            rows between 1 following and unbounded following
        ) as gone_on,
    from statements

)

select * from final
