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
        {{ with_refused('rejected_values', {
            'id_value': (
                "case when id_type in ('email', 'phone') then id_value end",
                'coalesce(emails.email, phones.phone)',
            ),
        }) }} as rejected_values,
    from source
    {{ join_by_type('id_type', 'id_value') }}

),

{{ latest_versions_of('renamed', 'traits') }},

final as (

    select * from latest

)

select * from final
