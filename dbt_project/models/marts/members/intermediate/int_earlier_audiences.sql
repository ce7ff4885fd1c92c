{{ config(materialized='ephemeral') }}

-- Which audiences there were on the latest earlier day.

with

final as (

    {{ published_before('audiences', {'audience_id': 'varchar', 'definition_version': 'varchar', 'status': 'varchar', 'as_of_date': 'date'}) | indent(4) }}

)

select * from final
