{%- set keys = {
    'customers': ['record_id'],
    'events': ['event_id'],
    'orders': ['order_id'],
    'order_lines': ['order_id', 'line_number'],
    'products': ['product_id'],
    'interactions': ['interaction_id'],
    'messages': ['message_id', 'action', 'occurred_at'],
    'traits': ['id_type', normalise_by_type('id_type', 'id_value'), 'trait', 'provider'],
    'consents': ['id_type', normalise_by_type('id_type', 'id_value'), 'purpose', 'effective_at'],
} -%}

-- noqa: disable=LT02
-- (the linter loses count of indents where a macro writes joins)

with

-- Superseded rows are counted here by the keys of what landed, not as a difference from what was staged: that the two
-- agree is what the balance of rows proves.
final as (

    {%- for kind, key in keys.items() %}
    select
        '{{ kind }}' as kind,
        channel,
        count(*) as landed_rows,
        count(*) - count(distinct row({{ key | join(', ') }})) as superseded_rows,
    from {{ source('landing', kind) }}
    {%- if kind in ('traits', 'consents') %}
    {{ join_by_type('id_type', 'id_value') }}
    {%- endif %}
    where date <= {{ as_of_date() }}
    group by channel
    {{- '\n\n    union all\n' if not loop.last }}
    {%- endfor %}

)

select * from final
