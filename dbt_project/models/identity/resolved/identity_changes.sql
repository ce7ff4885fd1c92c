with

changes as (

    select * from {{ source('identity', 'changes') }}

),

final as (

    select
        customer_id,
        previous_customer_id,
        change,
        reason,
        as_of_date,
    from changes

)

select * from final
