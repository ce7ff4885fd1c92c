with

members as (

    select * from {{ ref('audience_members') }}

),

final as (

    select distinct
        side,
        member_id,
    from members
    where list_contains({{ sent_audiences() }}, audience_id)

)

select * from final
