{%- set columns = ['type', 'direction', 'reason', 'outcome', 'duration_seconds', 'satisfaction', 'occurred_at'] -%}
with

interactions as (

    select * from {{ ref('stg_interactions') }}

),

{{ changed_versions_of('interactions', 'interactions', columns) }}

select * from changed_versions
