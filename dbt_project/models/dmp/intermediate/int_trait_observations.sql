-- noqa: disable=LT02
-- (the linter loses count of indents where a loop writes columns)

-- All that is known of a visitor's traits, from the rules over events and from what other parties delivered, the ended
-- ones too. A day is the finest step of a trait: frequency and recency count in days. The counts are those that some
-- audience asks for, so that no day is kept.

with

events as (

    select * from {{ ref('int_consented_events') }}

),

foreign_traits as (

    select * from {{ ref('int_visitor_traits') }}

),

rules as (

    {{ configured_rows(var('traits'), {'trait_id': 'varchar', 'ttl_days': 'integer'}) | indent(4) }}

),

observations as (

    select
        visitor_id,
        unnest(trait_ids) as trait_id,
        cast(null as varchar) as party,
        cast(null as varchar) as value,
        event_day as observed_on,
        seen_at as observed_at,
    from events

    union all

    select
        visitor_id,
        trait_id,
        party,
        value,
        cast(observed_at as date) as observed_on,
        observed_at,
    from foreign_traits

),

summarised as (

    select
        visitor_id,
        trait_id,
        max({'observed_at': observed_at, 'party': party, 'value': value}) filter (where party is not null) as delivered,
        count(*) as observations,
        {%- for days in var('trait_windows') %}
        count(*) filter (where observed_on > {{ as_of_date() }} - {{ days | int }}) as frequency_{{ days | int }},
        {%- endfor %}
        min(observed_at) as first_observed_at,
        max(observed_at) as last_observed_at,
    from observations
    group by visitor_id, trait_id

),

-- What another party says counts before a rule of the same name, when both are as late.
with_expiry as (

    select
        summarised.visitor_id,
        summarised.trait_id,
        case
            when summarised.delivered.observed_at = summarised.last_observed_at then summarised.delivered.party
            else 'rule'
        end as source,
        case
            when summarised.delivered.observed_at = summarised.last_observed_at then summarised.delivered.value
            else 'true'
        end as value,
        summarised.* exclude (visitor_id, trait_id, delivered),
        summarised.last_observed_at + to_days(
            nullif(coalesce(rules.ttl_days, {{ var('foreign_trait_days', 120) }}), 0)
        ) as expires_at,
    from summarised
    left join rules
        on summarised.trait_id = rules.trait_id

),

final as (

    select
        *,
        coalesce(expires_at > {{ end_of_day() }}, true) as is_live,
    from with_expiry

)

select * from final
