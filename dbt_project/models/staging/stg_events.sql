{{ config(materialized='accumulated', meta={'kind': 'events'}) }}
{%- set delivered = landed_rows_of('events', this) -%}
with

source as (

    select * from {{ delivered }}

),

renamed as (

    select
        event_id,
        {{ normalise_id('anonymous_id') }} as anonymous_id,
        {{ normalise_id('user_id') }} as user_id,
        {{ normalise_id('previous_id') }} as previous_id,
        {{ normalise_id('device_id') }} as device_id,
        {{ normalise_id('advertising_id') }} as advertising_id,
        {{ normalise_id('session_id') }} as session_id,
        email,
        phone,
        type,
        name,
        group_id,
        ip,
        user_agent,
        platform,
        site,
        {{ without_secrets('url') }} as url,
        {{ without_secrets('referrer') }} as referrer,
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
        -- Nothing happens after it was received. A day is left to channels that name the day of receipt alone.
        case
            when occurred_at > received_at + interval 1 day then received_at else occurred_at
        end as occurred_at,
        received_at,
        sent_at,
        is_deleted,
        landed_on,
        attributes,
        case
            when occurred_at > received_at + interval 1 day
                then map_concat(
                    rejected_values,
                    map_from_entries([{'key': 'occurred_at', 'value': cast(occurred_at as varchar)}])
                )
            else rejected_values
        end as rejected_values,
    from source

),

{{ latest_versions_of('renamed', 'events', with_deleted=true, rows=delivered) }},

user_agents as (

    select * from {{ source('dictionaries', 'user_agents') }}

),

sites as (

    select * from {{ source('dictionaries', 'sites') }}

),

content_categories as (

    select * from {{ source('dictionaries', 'content_categories') }}

),

-- Dictionaries are joined to the versions that count only, and to those that are read: what is staged is normalised.
looked_up as not materialized (

    select
        latest.* replace (
            emails.email as email,
            phones.phone as phone,
            coalesce(sites.site, latest.site) as site,
            coalesce(content_categories.name, latest.content_category) as content_category,
            {{ with_refused('latest.rejected_values', {
                'email': ('latest.email', 'emails.email'),
                'phone': ('latest.phone', 'phones.phone'),
            }) }} as rejected_values
        ),
        sites.site_domain,
        user_agents.browser,
        user_agents.operating_system,
        coalesce(
            case when user_agents.device not in ('other', 'program') then user_agents.device end,
            {{ device_of_platform('latest.platform') }}
        ) as device,
        -- What people did is also told by a company's own server, with a program.
        coalesce(
            user_agents.is_bot and not (user_agents.device = 'program' and coalesce(latest.platform, '') = 'server'),
            false
        ) as is_bot,
        case
            when content_categories.category_id is not null
                then {
                    'path': cast(null as varchar),
                    'category_id': content_categories.category_id,
                    'name': content_categories.name,
                    'tier_1': content_categories.tier_1
                }
            {{- category_by_properties('latest.properties') | indent(12) }}
            when sites.content_rules is not null
                then list_filter(
                    sites.content_rules,
                    lambda rule: starts_with({{ path_of('latest.url') }}, rule['path'])
                )[1]
        end as iab,
    from latest
    left join user_agents
        on latest.user_agent = user_agents.raw
    left join sites
        on {{ site_text('latest.site', 'latest.url') }} = sites.raw
    left join content_categories
        on latest.content_category = content_categories.raw
    {{ join_contacts('latest.email', 'latest.phone') }}

),

normalised as not materialized (

    select
        * exclude (iab) replace (coalesce(content_category, iab.name) as content_category),
        iab.category_id as content_category_id,
        iab.tier_1 as content_category_tier_1,
    from looked_up

),

{{ held_versions_of('normalised', 'events', this) }},

final as (

    select
        *,
        {{ node_key('events', identifiers_of('events')) }} as node_key,
    from held

)

select * from final
