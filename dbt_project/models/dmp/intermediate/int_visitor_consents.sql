-- Every statement about advertising, from events and from consent records. It counts for each identifier of the
-- device that made it; the latest one of a purpose decides, and a refusal wins over a grant of the same moment.

with

events as (

    select * from {{ ref('stg_events') }}

),

consents as (

    select * from {{ ref('stg_consents') }}

),

-- A device says the same with each of its events: that is taken apart once, with when it was last said.
gathered_events as (

    select
        {%- for id_type in visitor_id_types() %}
        {{ id_type }},
        {%- endfor %}
        {%- for purpose in advertising_purposes() %}
        {{ stated_consent('consent', purpose, 'occurred_at') | indent(8) }} as is_granted_{{ loop.index }},
        {%- endfor %}
        max(occurred_at) as stated_at,
    from events
    where
        consent is not null
        and not is_bot
        and occurred_at < {{ end_of_day() }}
    group by all

),

readable_events as (

    select
        [
            {%- for id_type in visitor_id_types() %}
            {'id_type': '{{ id_type }}', 'id_value': {{ usable_visitor_identifier(id_type) }}},
            {%- endfor %}
        ] as identifiers,
        [
            {%- for purpose in advertising_purposes() %}
            {'purpose': {{ text_literal(purpose) }}, 'is_granted': is_granted_{{ loop.index }}},
            {%- endfor %}
        ] as purposes,
        stated_at,
    from gathered_events

),

event_purposes as (

    select
        identifiers,
        unnest(purposes) as statement,
        stated_at,
    from readable_events

),

event_statements as (

    select
        unnest(identifiers) as identifier,
        statement,
        stated_at,
    from event_purposes
    where statement.is_granted is not null

),

statements as (

    select
        identifier.id_type as id_type,
        identifier.id_value as id_value,
        statement.purpose as purpose,
        statement.is_granted as is_granted,
        stated_at,
    from event_statements

    union all

    select
        id_type,
        {{ usable_stated_identifier('id_type', 'id_value') }} as id_value,
        purpose,
        status = 'granted' as is_granted,
        effective_at as stated_at,
    from consents
    where
        id_type in ('{{ stated_id_types() | join("', '") }}')
        and purpose in ({{ advertising_purpose_list() }})

    union all

    -- What the owner of an address said with it holds for its hash, by which other parties know them.
    select
        'hashed_email' as id_type,
        {{ hashed_email('id_value') }} as id_value,
        purpose,
        status = 'granted' as is_granted,
        effective_at as stated_at,
    from consents
    where
        id_type = 'email'
        and purpose in ({{ advertising_purpose_list() }})

),

latest_statements as (

    select
        id_type,
        id_value,
        purpose,
        max({'stated_at': stated_at, 'is_refused': not is_granted}) as latest,
    from statements
    where
        id_value is not null
        and stated_at < {{ end_of_day() }}
    group by id_type, id_value, purpose

),

decisions as (

    select
        id_type,
        id_value,
        count(*) filter (where not latest.is_refused) = {{ advertising_purposes() | length }} as is_granted,
        max(latest.stated_at) as stated_at,
    from latest_statements
    group by id_type, id_value

),

final as (

    select
        {{ visitor_id('id_type', 'id_value') }} as visitor_id,
        id_type,
        is_granted,
        date_trunc('hour', stated_at) as stated_at,
    from decisions

)

select * from final
