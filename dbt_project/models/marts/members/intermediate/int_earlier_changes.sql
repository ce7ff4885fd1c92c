{{ config(materialized='ephemeral') }}

-- What had changed up to the latest earlier day.
{%- set columns = {
    'audience_id': 'varchar',
    'member_id': 'varchar',
    'changed_date': 'date',
    'side': 'varchar',
    'change': 'varchar',
    'source': 'varchar',
    'reason': 'varchar',
    'is_control': 'boolean',
} %}
with

final as (

    {{ published_before('audience_changes', columns) | indent(4) }}

)

select * from final
