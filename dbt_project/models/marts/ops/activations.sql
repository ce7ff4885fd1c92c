with

activations as (

    select * from {{ source('ops', 'activations') }}

),

final as (

    select
        destination_id,
        audience_id,
        format,
        full_sha256,
        add_sha256,
        remove_sha256,
        people,
        refused,
        rows,
        added_rows,
        removed_rows,
        membership_days,
        compared_with_date,
        {{ as_of_date() }} as as_of_date,
    from activations

)

select * from final
