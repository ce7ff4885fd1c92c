-- What is sent is sealed first, so the deliveries of the day come with the next release.

with

deliveries as (

    select * from {{ source('ops', 'deliveries') }}

),

final as (

    select
        destination_id,
        audience_id,
        delivery_number,
        release_id,
        action,
        status,
        {{ without_identifiers('reason') }} as reason,
        rows,
        refused_rows,
        batches,
        attempts,
        as_of_date,
    from deliveries
    where as_of_date < {{ as_of_date() }}

)

select * from final
