-- Which traits each audience asks for, and whether anybody holds them: a misspelt trait is no error, because other
-- parties deliver traits that no configuration names, but its audience must not be empty in silence.

with

asked_traits as (

    {{ configured_rows(audience_traits(), {'audience_id': 'varchar', 'trait_id': 'varchar'}) | indent(4) }}

),

rules as (

    {{ configured_rows(var('traits'), {'trait_id': 'varchar'}) | indent(4) }}

),

folders as (

    {{ configured_rows(var('trait_folders', []), {'trait_id': 'varchar', 'folder': 'varchar'}) | indent(4) }}

),

observations as (

    select * from {{ ref('int_trait_observations') }}

),

seen_traits as (

    select
        trait_id,
        bool_or(is_live) as is_held,
    from observations
    group by trait_id

),

members as (

    select
        asked_traits.audience_id,
        asked_traits.trait_id,
        folders.folder is not null as is_folder,
        coalesce(folders.trait_id, asked_traits.trait_id) as member_trait_id,
    from asked_traits
    left join folders
        on asked_traits.trait_id = folders.folder

),

final as (

    select
        members.audience_id,
        members.trait_id,
        list(distinct members.member_trait_id order by members.member_trait_id) as member_trait_ids,
        case
            when bool_or(coalesce(seen_traits.is_held, false)) then 'held'
            when count(seen_traits.trait_id) > 0 then 'expired'
            when bool_or(members.is_folder) or count(rules.trait_id) > 0 then 'unused'
            else 'unknown'
        end as standing,
    from members
    left join seen_traits
        on members.member_trait_id = seen_traits.trait_id
    left join rules
        on members.member_trait_id = rules.trait_id
    group by members.audience_id, members.trait_id

)

select * from final
