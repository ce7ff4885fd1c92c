-- What was done for whom, without saying who: a keyed hash stands for the person. Searching every file once more
-- after an erasure is where `residue` comes from.

with

proofs as (

    select * from {{ source('privacy', 'proofs') }}

),

final as (

    select
        request_id,
        kind,
        person,
        place,
        decided_by,
        files_searched,
        rows_found,
        rows_removed,
        residue,
        coalesce(lost_epochs, '') as lost_epochs,
        residue = 0 and coalesce(lost_epochs, '') = '' as is_proven,
        received_on as received_date,
        done_on as done_date,
    from proofs
    where done_on <= {{ as_of_date() }}

)

select * from final
