with

final as (

    {{ configured_rows(var('audiences'), {
        'audience_id': 'varchar',
        'side': 'varchar',
        'name': 'varchar',
        'description': 'varchar',
        'definition': 'varchar',
        'definition_version': 'varchar',
        'ttl_days': 'integer',
        'min_size': 'bigint',
        'lookalike': 'boolean',
        'seed_tier': 'varchar',
    }) | indent(4) }}

)

select
    * exclude (lookalike),
    coalesce(lookalike, false) as has_lookalike,
from final
