with

source as not materialized (

    select * from {{ source('landing', 'interactions') }}
    where date <= {{ as_of_date() }}

),

renamed as not materialized (

    select
        interaction_id,
        {{ normalise_id('customer_number') }} as customer_number,
        {{ normalise_id('loyalty_number') }} as loyalty_number,
        {{ normalise_id('user_id') }} as user_id,
        email,
        phone,
        {{ normalise_id('anonymous_id') }} as anonymous_id,
        {{ normalise_id('device_id') }} as device_id,
        type,
        direction,
        reason,
        outcome,
        channel,
        party,
        source_file,
        source_row,
        duration_seconds,
        satisfaction,
        occurred_at,
        date as landed_on,
        attributes,
        rejected_values,
    from source

),

{{ latest_versions_of('renamed', key=['interaction_id'], ordered_by='occurred_at') }},

{{ with_contacts('latest') }},

final as (

    select
        *,
        {{ node_key('interactions', identifiers_of('interactions')) }} as node_key,
    from normalised

)

select * from final
