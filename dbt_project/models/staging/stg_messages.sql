with

source as not materialized (

    select * from {{ source('landing', 'messages') }}
    where date <= {{ as_of_date() }}

),

renamed as not materialized (

    select
        message_id,
        action,
        occurred_at,
        {{ normalise_id('customer_number') }} as customer_number,
        {{ normalise_id('loyalty_number') }} as loyalty_number,
        {{ normalise_id('user_id') }} as user_id,
        email,
        phone,
        {{ normalise_id('anonymous_id') }} as anonymous_id,
        {{ normalise_id('device_id') }} as device_id,
        campaign_id,
        medium,
        channel,
        party,
        source_file,
        source_row,
        date as landed_on,
        attributes,
        rejected_values,
    from source

),

{{ latest_versions_of('renamed', key=['message_id', 'action', 'occurred_at'], ordered_by='occurred_at') }},

{{ with_contacts('latest') }},

final as (

    select
        *,
        {{ node_key('messages', identifiers_of('messages')) }} as node_key,
    from normalised

)

select * from final
