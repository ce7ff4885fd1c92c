-- Apart from what is learned from: who has them shows whom a look-alike leaves out.

with

foreign_traits as (

    select * from {{ ref('trait_qualifications') }}
    where source in ('second', 'third')

),

final as (

    select
        visitor_id,
        trait_id,
        value,
    from foreign_traits
    where
        list_contains([{{ audited_traits() }}], trait_id)
        and value is not null

)

select * from final
