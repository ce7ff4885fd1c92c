-- What second and third parties say of visitors who granted advertising. A party that says yes brings no consent with
-- it: the visitor's own statements decide, in int_visitor_consents.

with

traits as (

    select * from {{ ref('stg_traits') }}

),

granted_visitors as (

    select visitor_id
    from {{ ref('int_visitor_consents') }}
    where is_granted

),

sensitive_traits as (

    select
        trait_id,
        value,
    from (
        {{ trait_taxonomy() | indent(8) }}
    ) as trait_taxonomy
    where is_sensitive

),

-- What means a sensitive thing is dropped, whoever says it.
harmless_traits as (

    select traits.*
    from traits
    anti join sensitive_traits
        on
            traits.trait = sensitive_traits.trait_id
            and (sensitive_traits.value = '' or traits.value = sensitive_traits.value)

),

foreign_traits as (

    select
        id_type,
        {{ usable_stated_identifier('id_type', 'id_value') }} as id_value,
        {{ without_identifiers('trait', ['id_value']) }} as trait_id,
        {{ without_identifiers('value', ['id_value']) }} as value,
        coalesce(provider, channel) as provider,
        party,
        observed_at,
    from harmless_traits
    where
        id_type in ('{{ stated_id_types() | join("', '") }}')
        and party in ('second', 'third')
        and observed_at < {{ end_of_day() }}

),

pseudonymous_traits as (

    select
        {{ visitor_id('id_type', 'id_value') }} as visitor_id,
        id_type,
        trait_id,
        value,
        {{ without_identifiers('provider') }} as provider,
        party,
        date_trunc('hour', observed_at) as observed_at,
    from foreign_traits
    where id_value is not null

),

final as (

    select pseudonymous_traits.*
    from pseudonymous_traits
    inner join granted_visitors
        on pseudonymous_traits.visitor_id = granted_visitors.visitor_id

)

select * from final
