{%- set accumulated = [] -%}
{%- set counted_here = ['customers', 'traits', 'consents'] -%}
{%- for kind in ['events', 'orders', 'order_lines', 'products', 'interactions', 'messages'] -%}
{%- do (counted_here if snapshot_channels(kind) else accumulated).append(kind) -%}
{%- endfor -%}
-- Kinds whose table accumulates count rows as they take them in; the others, and snapshots, are counted here.

-- noqa: disable=LT02
-- (the linter loses count of indents where a macro writes joins)

with

{% for kind in counted_here -%}
{{ kind }} as not materialized (

    select
        *
        {%- if kind in ('traits', 'consents') %}
        replace ({{ normalise_by_type('id_type', 'id_value') }} as id_value)
        {%- endif %},
        date as landed_on,
    from {{ source('landing', kind) }}
    {%- if kind in ('traits', 'consents') %}
    {{ join_by_type('id_type', 'id_value') }}
    {%- endif %}
    where date <= {{ as_of_date() }}

),

{{ deleted_records_of(kind, kind) }},

{{ kind }}_counts as (

    {{ record_counts_of(kind, kind) | indent(4) }}

),

{% endfor -%}
{% for kind in accumulated -%}
{{ kind }}_counts as (

    select * from {{ beside(ref('stg_' ~ kind), 'counts') }}

),

deleted_{{ kind }} as (

    select channel from {{ beside(ref('stg_' ~ kind), 'deleted') }}

),

{% endfor -%}
-- Superseded rows are those of landed records beyond the first, by the records' keys and not as a difference from what
-- was staged: that the two agree is what the balance of rows proves. The version that says that a record is gone counts
-- as deleted, once.
final as (

    {%- for kind in counted_here + accumulated %}
    select
        '{{ kind }}' as kind,
        counts.channel,
        counts.landed_rows,
        counts.landed_rows - counts.records as superseded_rows,
        count(deleted.channel) as deleted_rows,
    from {{ kind }}_counts as counts
    left join deleted_{{ kind }} as deleted
        on counts.channel = deleted.channel
    group by all
    {{- '\n\n    union all\n' if not loop.last }}
    {%- endfor %}

)

select * from final
