with

emails as (

    select * from {{ source('dictionaries', 'emails') }}

),

final as (

    select
        email,
        bool_or(coalesce(is_disposable, false)) as is_disposable,
        bool_or(coalesce(is_role, false)) as is_role,
    from emails
    where email is not null
    group by all

)

select * from final
