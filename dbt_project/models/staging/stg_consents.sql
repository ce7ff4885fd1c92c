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
        {{ with_refused('rejected_values', {
            'id_value': (
                "case when id_type in ('email', 'phone') then id_value end",
                'coalesce(emails.email, phones.phone)',
            ),
        }) }} as rejected_values,
    from source
    {{ join_by_type('id_type', 'id_value') }}

),

{{ latest_versions_of('renamed', 'consents') }},

final as (

    select * from latest

)

select * from final
