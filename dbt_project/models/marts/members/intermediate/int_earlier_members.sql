{{ config(materialized='ephemeral') }}

-- Who was in which audience on the latest earlier day.
{%- set columns = {
    'audience_id': 'varchar',
    'member_id': 'varchar',
    'side': 'varchar',
    'source': 'varchar',
    'is_control': 'boolean',
    'entered_at': 'timestamp',
} %}

with

final as (

    {{ published_before('audience_members', columns) | indent(4) }}

)

select * from final
