-- Where to look, never what was there: the raw text stays in the lake's quarantine.

with

quarantine as (

    select
        *,
        regexp_extract(filename, 'quarantine/([^/]+)/channel=', 1) as kind,
    from {{ source('extract', 'quarantine') }}
    where date <= {{ as_of_date() }}

),

receipts as (

    select * from {{ source('extract', 'receipts') }}
    where date <= {{ as_of_date() }}

),

received as (

    select
        channel,
        kind,
        cast(sum(received) as bigint) as received_rows,
    from receipts
    group by channel, kind

),

refused as (

    select
        channel,
        kind,
        reason,
        count(*) as rows,
        min({'source_file': source_file, 'source_row': source_row}) as example,
    from quarantine
    group by channel, kind, reason

),

final as (

    select
        refused.channel,
        refused.kind,
        refused.reason,
        refused.example.source_file as example_file,
        refused.example.source_row as example_row,
        refused.rows,
        received.received_rows,
        refused.rows / nullif(received.received_rows, 0) as share,
        {{ as_of_date() }} as as_of_date,
    from refused
    left join received
        on
            refused.channel = received.channel
            and refused.kind = received.kind

)

select * from final
