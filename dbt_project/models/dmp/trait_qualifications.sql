with

observations as (

    select * from {{ ref('int_trait_observations') }}

),

visitors as (

    select visitor_id from {{ ref('visitors') }}

),

rules as (

    {{ configured_rows(var('traits'), {'trait_id': 'varchar', 'ttl_days': 'integer'}) | indent(4) }}

),

summarised as (

    select
        visitor_id,
        trait_id,
        max({'last_observed_at': last_observed_at, 'source': source, 'value': value}) as latest,
        cast(sum(observations) as bigint) as frequency,
        min(first_observed_at) as first_qualified_at,
        max(last_observed_at) as last_qualified_at,
    from observations
    group by visitor_id, trait_id

),

with_expiry as (

    select
        summarised.*,
        summarised.last_qualified_at + to_days(
            nullif(coalesce(rules.ttl_days, {{ var('third_party_ttl_days', 120) }}), 0)
        ) as expires_at,
    from summarised
    left join rules
        on summarised.trait_id = rules.trait_id

),

final as (

    select
        with_expiry.visitor_id,
        with_expiry.trait_id,
        with_expiry.latest.source as source,
        with_expiry.latest.value as value,
        with_expiry.frequency,
        with_expiry.first_qualified_at,
        with_expiry.last_qualified_at,
        with_expiry.expires_at,
    from with_expiry
    inner join visitors
        on with_expiry.visitor_id = visitors.visitor_id
    where coalesce(with_expiry.expires_at > {{ end_of_day() }}, true)

)

select * from final
