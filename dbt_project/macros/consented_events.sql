{#
    The only way of behaviour into the DMP side. An event comes through when it says itself that advertising is granted,
    its visitor has not refused since, and it was not made by a robot. Of a moment the hour is kept, of an address the
    network, of a user agent the class of device: with more, an event could be matched with the customer's timeline.
    Of pages about sensitive things nothing is kept, not even that somebody was there.
    Rules that define traits look at the whole event here and leave only the names of the traits.
    Those from the moment `since` on: said of an event's own moment, DuckDB reads no older ones.
#}
{% macro consented_events(since=none) -%}
with

events as not materialized (

    select * from {{ ref('stg_events') }}
    {%- if since %}
    where occurred_at >= {{ since }}
    {%- endif %}

),

sensitive_categories as (

    {{ sensitive_categories() | indent(4) }}

),

granted_visitors as (

    select visitor_id
    from {{ ref('int_visitor_consents') }}
    where is_granted

),

harmless_events as (

    select events.*
    from events
    anti join sensitive_categories
        on events.content_category_id = sensitive_categories.content_category_id

),

consented_events as (

    select
        {{ visitor_identifier_type('harmless_events') }} as id_type,
        {{ visitor_identifier_value('harmless_events') }} as id_value,
        {%- for column in ['platform', 'site', 'content_category'] %}
        {{ without_identifiers(column, identifier_columns()) }} as {{ column }},
        {%- endfor %}
        content_category_id,
        content_category_tier_1,
        device,
        {{ coarse_network('ip') }} as place,
        is_owned_site,
        cast(occurred_at as date) as event_day,
        cast(extract('hour' from occurred_at) as integer) as hour,
        date_trunc('hour', occurred_at) as seen_at,
        {{ matching_rules(var('traits'), 'trait_id') | indent(8) }} as trait_ids,
    from harmless_events
    where
        {%- for purpose in advertising_purposes() %}
        {{ "and " if not loop.first }}{{ stated_consent('consent', purpose, 'occurred_at') }}
        {%- endfor %}
        and not is_bot
        and occurred_at < {{ end_of_day() }}

),

-- Of all events that say anything of consent: to read what they say twice, or to keep a copy of those that grant it,
-- takes more than to hash the identifiers of those that do not.
identifiers as (

    select distinct
        {{ visitor_identifier_type('events') }} as id_type,
        {{ visitor_identifier_value('events') }} as id_value,
    from events
    where
        consent is not null
        and not is_bot

),

pseudonyms as (

    select
        id_type,
        id_value,
        {{ visitor_id('id_type', 'id_value') }} as visitor_id,
    from identifiers

),

granted_pseudonyms as (

    select pseudonyms.*
    from pseudonyms
    inner join granted_visitors
        on pseudonyms.visitor_id = granted_visitors.visitor_id

),

final as (

    select
        granted_pseudonyms.visitor_id,
        consented_events.* exclude (id_value),
    from consented_events
    inner join granted_pseudonyms
        on
            consented_events.id_type = granted_pseudonyms.id_type
            and consented_events.id_value = granted_pseudonyms.id_value

)

select * from final
{%- endmacro %}
