{{ config(materialized='ephemeral') }}

-- Which audiences there were on the latest earlier day.
{%- set columns = {
    'audience_id': 'varchar',
    'definition_version': 'varchar',
    'status': 'varchar',
    'as_of_date': 'date',
} %}

with

final as (

    {{ published_before('audiences', columns) | indent(4) }}

)

select * from final
