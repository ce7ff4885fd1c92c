{%- set kinds = [
    'customers', 'events', 'orders', 'order_lines', 'products', 'interactions', 'messages', 'traits', 'consents'
] -%}

with

final as (

    {%- for kind in kinds %}
    select
        '{{ kind }}' as kind,
        channel,
        count(*) as landed_rows,
    from {{ source('landing', kind) }}
    where date <= {{ as_of_date() }}
    group by all
    {{- '\n\n    union all\n' if not loop.last }}
    {%- endfor %}

)

select * from final
