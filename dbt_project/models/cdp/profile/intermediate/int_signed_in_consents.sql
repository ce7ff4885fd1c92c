{#-
    What customers who were signed in said of purposes, by their events. A tracker repeats with every event how a banner
    was answered, so not the latest event is a statement but the one with which a device began to say it, and each event
    that reports an answer. A grant that a device says from its first event on may be an older one in a browser that got
    another id: it counts from when the customer first granted.

    Few answers differ in their text, so events are first counted by it. Only where a device came back to an answer that
    it had given before are its events asked once more, from when on. See docs/decisions/0050.
-#}
{%- set names = purpose_names() -%}
{%- set key = ['channel', 'user_id', 'device'] -%}
with

events as not materialized (

    select
        channel,
        user_id,
        coalesce(anonymous_id, device_id, advertising_id, '') as device,
        consent,
        occurred_at,
        {{ reports_consent('name') | indent(8) }} as is_answer,
    from {{ ref('stg_events') }}
    where
        user_id is not null
        and consent is not null
        and not is_bot
        and occurred_at < {{ end_of_day() }}

),

texts as (

    select
        {{ key | join(', ') }},
        consent,
        is_answer,
        min(occurred_at) as first_at,
        max(occurred_at) as last_at,
    from events
    group by all

),

read_texts as (

    select
        *,
        {%- for name in names %}
        {{ stated_consent('consent', name, 'first_at') | indent(8) }} as is_granted_{{ loop.index }},
        {%- endfor %}
        {{ refuses_others('consent') }} as refuses_others,
    from texts

),

unnested as (

    select
        {{ key | join(', ') }},
        consent,
        is_answer,
        first_at,
        last_at,
        refuses_others,
        unnest([
            {%- for name in names %}
            {'purpose': {{ text_literal(name) }}, 'is_granted': is_granted_{{ loop.index }}}{{ "," if not loop.last }}
            {%- endfor %}
        ]) as answer,
    from read_texts

),

-- Who refuses all that they do not name takes back what they granted in other events.
answers as (

    select
        {{ key | join(', ') }},
        consent,
        is_answer,
        first_at,
        last_at,
        answer.purpose as purpose,
        coalesce(
            answer.is_granted,
            case
                when refuses_others and bool_or(answer.is_granted) over (partition by user_id, answer.purpose)
                    then false
            end
        ) as is_granted,
    from unnested

),

devices as (

    select
        {{ key | join(', ') }},
        purpose,
        min(first_at) filter (where is_granted) as first_granted_at,
        max(last_at) filter (where is_granted) as last_granted_at,
        min(first_at) filter (where not is_granted) as first_denied_at,
        max(last_at) filter (where not is_granted) as last_denied_at,
    from answers
    where is_granted is not null
    group by all

),

unchanged as (

    select
        channel,
        user_id,
        purpose,
        first_denied_at is null as is_granted,
        coalesce(first_denied_at, min(first_granted_at) over (partition by user_id, purpose)) as effective_at,
    from devices
    qualify
        first_granted_at is null
        or first_denied_at is null

),

changed as (

    select
        {{ key | join(', ') }},
        purpose,
        last_granted_at > last_denied_at as is_granted,
        least(last_granted_at, last_denied_at) as other_at,
    from devices
    where
        first_granted_at is not null
        and first_denied_at is not null

),

candidates as (

    select
        answers.*,
        changed.other_at,
        {{ is_later_answer('answers.first_at', 'answers', 'changed.other_at') }} as is_after,
    from answers
    inner join changed
        on
            answers.channel = changed.channel
            and answers.user_id = changed.user_id
            and answers.device = changed.device
            and answers.purpose = changed.purpose
            and answers.is_granted = changed.is_granted
    where {{ is_later_answer('answers.last_at', 'answers', 'changed.other_at') }}

),

beginnings as (

    select
        {{ key | join(', ') }},
        purpose,
        is_granted,
        first_at as begun_at,
    from candidates
    where is_after

    union all

    select
        {%- for column in key %}
        candidates.{{ column }},
        {%- endfor %}
        candidates.purpose,
        candidates.is_granted,
        events.occurred_at as begun_at,
    from events
    inner join candidates
        on
            events.channel = candidates.channel
            and events.user_id = candidates.user_id
            and events.device = candidates.device
            and events.consent = candidates.consent
            and events.is_answer = candidates.is_answer
    where
        not candidates.is_after
        and {{ is_later_answer('events.occurred_at', 'candidates', 'candidates.other_at') }}

),

begun as (

    select
        channel,
        user_id,
        purpose,
        is_granted,
        min(begun_at) as effective_at,
    from beginnings
    group by
        {{ key | join(', ') }},
        purpose,
        is_granted

),

statements as (

    select
        channel,
        user_id,
        purpose,
        is_granted,
        effective_at,
    from unchanged

    union all

    select * from begun

    union all

    select
        channel,
        user_id,
        purpose,
        is_granted,
        last_at as effective_at,
    from answers
    where
        is_answer
        and is_granted is not null

),

final as (

    select
        user_id,
        purpose,
        channel,
        case when is_granted then 'granted' else 'denied' end as status,
        max(effective_at) as effective_at,
    from statements
    group by
        user_id,
        purpose,
        channel,
        is_granted

)

select * from final
