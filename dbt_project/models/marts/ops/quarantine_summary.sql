-- Where to look, never what was there: the raw text stays in the lake's quarantine. A row that breaks the contract in
-- two ways counts for both; `refused_rows` counts every row once.

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

rejected_values as (

    select * from {{ ref('stg_rejected_values') }}

),

totals as (

    select
        channel,
        kind,
        cast(sum(received) as bigint) as received_rows,
        cast(sum(quarantined) as bigint) as refused_rows,
    from receipts
    group by channel, kind

),

reasons as (

    select
        channel,
        kind,
        {'landed_on': date, 'source_file': source_file, 'source_row': source_row} as example,
        date,
        unnest(list_distinct(string_split(reason, ';'))) as reason,
    from quarantine

),

counted as (

    select
        channel,
        kind,
        'row' as refused,
        split_part(reason, ':', 1) as reason,
        split_part(reason, ':', 2) as column_name,
        min(example) as example,
        count(*) as rows,
        min(date) as first_seen_date,
        max(date) as last_seen_date,
    from reasons
    group by all

    union all

    select
        channel,
        kind,
        'value' as refused,
        'rejected' as reason,
        column_name,
        example,
        rows,
        first_seen_date,
        last_seen_date,
    from rejected_values

),

final as (

    select
        counted.channel,
        counted.kind,
        counted.refused,
        counted.reason,
        counted.column_name,
        counted.example.source_file as example_file,
        counted.example.source_row as example_row,
        counted.rows,
        totals.refused_rows,
        totals.received_rows,
        counted.rows / nullif(totals.received_rows, 0) as share,
        counted.first_seen_date,
        counted.last_seen_date,
        {{ as_of_date() }} as as_of_date,
    from counted
    left join totals
        on
            counted.channel = totals.channel
            and counted.kind = totals.kind

)

select * from final
