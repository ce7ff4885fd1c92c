-- How the layouts changed is found out beside the receipts, in include/extract/drift.py, which the gate of extract and
-- `make check` ask too. A key of JSON may be anything: names that look like an identifier are withheld, all in one row.

with

schema_drift as (

    select * from {{ source('ops', 'schema_drift') }}

),

final as (

    select
        channel,
        {{ without_identifiers('source_column') }} as source_column,
        change,
        from_type,
        to_type,
        since_file,
        times,
        files,
        is_current,
        since_date,
        {{ as_of_date() }} as as_of_date,
    from schema_drift
    qualify
        row_number() over (
            partition by channel, {{ without_identifiers('source_column') }}, change
            order by since_date desc, schema_drift.source_column asc
        ) = 1

)

select * from final
