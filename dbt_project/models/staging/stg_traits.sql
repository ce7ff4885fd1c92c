with

source as not materialized (

    select * from {{ source('landing', 'traits') }}
    where date <= {{ as_of_date() }}

),

renamed as not materialized (

    select
        id_type,
        {{ normalise_by_type('id_type', 'id_value') }} as id_value,
        trait,
        value,
        provider,
        channel,
        party,
        source_file,
        source_row,
        observed_at,
        is_deleted,
        date as landed_on,
        attributes,
        rejected_values,
    from source

),

{{ latest_versions_of('renamed', 'traits') }},

final as (

    select * from latest

)

select * from final
