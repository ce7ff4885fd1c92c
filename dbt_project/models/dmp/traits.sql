-- The catalogue of traits. A trait stands here once as a whole, with an empty value, and once for each of its values
-- that the taxonomy names. What means a sensitive thing is listed too, so that it can be seen to be held by nobody.

with

qualifications as (

    select * from {{ ref('trait_qualifications') }}

),

rules as (

    {{ configured_rows(var('traits'), {
        'trait_id': 'varchar', 'name': 'varchar', 'ttl_days': 'integer'
    }) | indent(4) }}

),

folders as (

    {{ configured_rows(var('trait_folders', []), {'trait_id': 'varchar', 'folder': 'varchar'}) | indent(4) }}

),

-- A trait is in one folder, and counts for those above it too: its own is the one with the longest path.
own_folders as (

    select
        trait_id,
        max({'depth': length(folder), 'folder': folder}).folder as folder,
    from folders
    where folder <> trait_id
    group by trait_id

),

trait_taxonomy as (

    {{ trait_taxonomy() | indent(4) }}

),

named_values as (

    select
        trait_id,
        value,
    from trait_taxonomy

    union

    select
        trait_id,
        '' as value,
    from rules

    union

    select
        trait_id,
        '' as value,
    from trait_taxonomy

    union

    select
        trait_id,
        '' as value,
    from qualifications

),

holders as (

    select
        trait_id,
        '' as value,
        max(source) as source,
        count(*) as visitors,
    from qualifications
    group by trait_id

    union all

    select
        trait_id,
        value,
        max(source) as source,
        count(*) as visitors,
    from qualifications
    where value <> ''
    group by trait_id, value

),

final as (

    select
        named_values.trait_id,
        named_values.value,
        coalesce(rules.name, named_values.trait_id) as trait_name,
        case when rules.trait_id is not null then 'rule' else holders.source end as source,
        own_folders.folder,
        trait_taxonomy.iab_audience_id,
        trait_taxonomy.iab_audience_name,
        cast(
            case
                when holders.source is distinct from 'folder'
                    then coalesce(rules.ttl_days, {{ var('foreign_trait_days', 120) }})
            end as integer
        ) as ttl_days,
        coalesce(trait_taxonomy.is_sensitive, false) as is_sensitive,
        cast(coalesce(holders.visitors, 0) as bigint) as visitors,
    from named_values
    left join rules
        on named_values.trait_id = rules.trait_id
    left join own_folders
        on named_values.trait_id = own_folders.trait_id
    left join trait_taxonomy
        on
            named_values.trait_id = trait_taxonomy.trait_id
            and named_values.value = trait_taxonomy.value
    left join holders
        on
            named_values.trait_id = holders.trait_id
            and named_values.value = holders.value

)

select * from final
