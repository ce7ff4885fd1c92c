with

held_traits as (

    select * from {{ ref('int_held_traits') }}

),

visitors as (

    select visitor_id from {{ ref('visitors') }}

),

final as (

    select
        held_traits.visitor_id,
        held_traits.trait_id,
        held_traits.source,
        held_traits.value,
        held_traits.observations as frequency,
        held_traits.first_observed_at as first_qualified_at,
        held_traits.last_observed_at as last_qualified_at,
        held_traits.expires_at,
    from held_traits
    inner join visitors
        on held_traits.visitor_id = visitors.visitor_id

)

select * from final
