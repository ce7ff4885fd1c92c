{{ config(materialized='accumulated', meta={'kind': 'events'}) }}
with

source as not materialized (

    select * from {{ landed('events', this) }}
    where date <= {{ as_of_date() }}

),

renamed as not materialized (

    select
        event_id,
        {{ normalise_id('anonymous_id') }} as anonymous_id,
        {{ normalise_id('user_id') }} as user_id,
        {{ normalise_id('previous_id') }} as previous_id,
        {{ normalise_id('device_id') }} as device_id,
        {{ normalise_id('advertising_id') }} as advertising_id,
        {{ normalise_id('session_id') }} as session_id,
        {{ normalise_email('email') }} as email,
        {{ normalise_phone('phone') }} as phone,
        type,
        name,
        group_id,
        ip,
        user_agent,
        platform,
        site,
        url,
        referrer,
        title,
        content_category,
        campaign_source,
        campaign_medium,
        campaign_name,
        campaign_term,
        campaign_content,
        consent,
        properties,
        traits,
        channel,
        party,
        source_file,
        source_row,
        coalesce(is_owned_site, party = 'first') as is_owned_site,
        {{ is_bot('user_agent') }} as is_bot,
        occurred_at,
        received_at,
        sent_at,
        is_deleted,
        date as landed_on,
        attributes,
        rejected_values,
    from source

),

{{ accumulated_versions_of('renamed', 'events', this) }},

final as (

    select
        *,
        {{ node_key('events', identifiers_of('events')) }} as node_key,
    from latest

)

select * from final
