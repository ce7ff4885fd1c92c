with

sessions as (

    select * from {{ ref('sessions') }}

),

{{ channel_starts_of('sessions', 'landed_on') }},

final as (

    select
        sessions.customer_id,
        sessions.channel,
        sessions.platform,
        sessions.site,
        sessions.campaign_source,
        sessions.campaign_medium,
        sessions.campaign_name,
        sessions.page_views,
        sessions.events,
        sessions.converted,
        sessions.started_at as occurred_at,
        {{ known_on('sessions', 'sessions.started_at', 'landed_on') }} as known_on,
    from sessions
    inner join channel_starts
        on sessions.channel = channel_starts.channel
    where sessions.customer_id is not null

)

select * from final
