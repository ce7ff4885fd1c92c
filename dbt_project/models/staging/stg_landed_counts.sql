{%- set kinds = [
    'customers', 'events', 'orders', 'order_lines', 'products', 'interactions', 'messages', 'traits', 'consents'
] -%}
with

{% for kind in kinds -%}
{{ kind }} as not materialized (

    select
        *
        {%- if kind in ('traits', 'consents') %}
        replace ({{ normalise_by_type('id_type', 'id_value') }} as id_value)
        {%- endif %},
        date as landed_on,
    from {{ source('landing', kind) }}
    where date <= {{ as_of_date() }}

),

{{ deleted_records_of(kind, kind) }},

deleted_{{ kind }}_counts as (

    select
        channel,
        count(*) as deleted_rows,
    from deleted_{{ kind }}
    group by channel

),

{% endfor -%}
-- Superseded rows are counted here by the keys of what landed, not as a difference from what was staged: that the two
-- agree is what the balance of rows proves. The version that says that a record is gone counts as deleted, once.
counted as (

    {%- for kind in kinds %}
    select
        '{{ kind }}' as kind,
        {{ kind }}.channel,
        count(*) as landed_rows,
        count(*) - count(distinct row({{ record_key(kind) | join(', ') }})) as superseded_rows,
        coalesce(max(deleted_{{ kind }}_counts.deleted_rows), 0) as deleted_rows,
    from {{ kind }}
    left join deleted_{{ kind }}_counts
        on {{ kind }}.channel = deleted_{{ kind }}_counts.channel
    group by {{ kind }}.channel
    {{- '\n\n    union all\n' if not loop.last }}
    {%- endfor %}

),

final as (

    select * from counted

)

select * from final
