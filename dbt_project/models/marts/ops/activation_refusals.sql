with

activation_refusals as (

    select * from {{ source('ops', 'activation_refusals') }}

),

final as (

    select
        destination_id,
        audience_id,
        reason,
        people,
        {{ as_of_date() }} as as_of_date,
    from activation_refusals

)

select * from final
