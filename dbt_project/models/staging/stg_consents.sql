with

source as not materialized (

    select * from {{ source('landing', 'consents') }}
    where date <= {{ as_of_date() }}

),

renamed as not materialized (

    select
        id_type,
        {{ normalise_by_type('id_type', 'id_value') }} as id_value,
        purpose,
        status,
        source,
        channel,
        party,
        source_file,
        source_row,
        effective_at,
        is_deleted,
        date as landed_on,
        attributes,
        rejected_values,
    from source

),

{{ latest_versions_of('renamed', 'consents') }},

final as (

    select * from latest

)

select * from final
