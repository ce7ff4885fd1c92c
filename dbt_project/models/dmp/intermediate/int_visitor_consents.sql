-- Every statement about advertising, from events and from consent records. It counts for each identifier of the
-- device that made it; the latest one of a purpose decides, and a refusal wins over a grant of the same moment.
-- A page that repeats an older grant is no later one: that would undo what was refused elsewhere since.

with

events as (

    select * from {{ ref('stg_events') }}

),

consents as (

    select * from {{ ref('stg_consents') }}

),

-- A device says the same with each of its events: that is taken apart once, with when it was first and last said.
gathered_events as (

    select
        {%- for id_type in visitor_id_types() %}
        {{ id_type }},
        {%- endfor %}
        {%- for purpose in advertising_purposes() %}
        {{ stated_consent('consent', purpose, 'occurred_at') | indent(8) }} as is_granted_{{ loop.index }},
        {%- endfor %}
        {{ reports_consent('name') | indent(8) }} as is_answer,
        min(occurred_at) as first_at,
        max(occurred_at) as last_at,
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
        is_answer,
        first_at,
        last_at,
    from gathered_events

),

event_purposes as (

    select
        identifiers,
        unnest(purposes) as statement,
        is_answer,
        first_at,
        last_at,
    from readable_events

),

unnested_events as (

    select
        unnest(identifiers) as identifier,
        statement,
        is_answer,
        first_at,
        last_at,
    from event_purposes
    where statement.is_granted is not null

),

event_statements as (

    select
        identifier.id_type as id_type,
        identifier.id_value as id_value,
        statement.purpose as purpose,
        statement.is_granted as is_granted,
        is_answer,
        first_at,
        last_at,
    from unnested_events
    where identifier.id_value is not null

),

-- Where a device came back to a grant is not kept, so it counts from right after the refusal.
devices as (

    select
        id_type,
        id_value,
        purpose,
        max(last_at) filter (where not is_granted) as denied_at,
        min(first_at) filter (where is_granted) as first_granted_at,
        max(last_at) filter (where is_granted) as last_granted_at,
        max(last_at) filter (where is_granted and is_answer) as answered_at,
    from event_statements
    group by id_type, id_value, purpose

),

said_by_devices as (

    select
        id_type,
        id_value,
        purpose,
        unnest([
            {'is_granted': false, 'stated_at': denied_at},
            {'is_granted': true, 'stated_at': answered_at},
            {
                'is_granted': true,
                'stated_at': case
                    when denied_at is null then first_granted_at
                    when last_granted_at > denied_at then denied_at + interval '1 microsecond'
                end
            }
        ]) as said,
    from devices

),

statements as (

    select
        id_type,
        id_value,
        purpose,
        said.is_granted as is_granted,
        said.stated_at as stated_at,
    from said_by_devices
    where said.stated_at is not null

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
