{{ config(materialized='ephemeral') }}

-- Who was in which audience on the latest earlier day.

with

final as (

    {{ published_before('audience_members', {'audience_id': 'varchar', 'member_id': 'varchar', 'side': 'varchar', 'source': 'varchar', 'entered_at': 'timestamp'}) | indent(4) }}

)

select * from final
