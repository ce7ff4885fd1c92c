{#- The rules of models.yml, one row each. -#}
with

final as (

    {{ configured_rows(var('action_rules'), {
        'rule_id': 'varchar',
        'offer': 'varchar',
        'promotion': 'varchar',
        'words': 'varchar',
        'priority': 'bigint',
    }) }}

)

select * from final
