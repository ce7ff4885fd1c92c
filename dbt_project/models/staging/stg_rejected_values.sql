{%- set kinds = [
    'customers', 'events', 'orders', 'order_lines', 'products', 'interactions', 'messages', 'traits', 'consents'
] -%}

with

rejected as (

    {%- for kind in kinds %}
    select
        '{{ kind }}' as kind,
        channel,
        source_file,
        source_row,
        date,
        unnest(map_keys(rejected_values)) as column_name,
    from {{ source('landing', kind) }}
    where
        date <= {{ as_of_date() }}
        and cardinality(rejected_values) > 0
    {{- '\n\n    union all\n' if not loop.last }}
    {%- endfor %}

),

final as (

    select
        kind,
        channel,
        column_name,
        min({'landed_on': date, 'source_file': source_file, 'source_row': source_row}) as example,
        count(*) as rows,
        min(date) as first_seen_date,
        max(date) as last_seen_date,
    from rejected
    group by kind, channel, column_name

)

select * from final
