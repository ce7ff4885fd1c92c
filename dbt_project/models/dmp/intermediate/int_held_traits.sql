-- noqa: disable=LT02
-- (the linter loses count of indents where a loop writes columns)
{{ config(materialized='view') }}

-- The traits that are held on the business day. A folder is held by whoever holds a trait in it or below it: it was
-- seen as often as all of them together, and as late as the latest of them.

with

observations as (

    select * from {{ ref('int_trait_observations') }}

),

folders as (

    {{ configured_rows(var('trait_folders', []), {'trait_id': 'varchar', 'folder': 'varchar'}) | indent(4) }}

),

live_traits as not materialized (

    select * exclude (is_live)
    from observations
    where is_live

),

own_traits as (

    select live_traits.*
    from live_traits
    anti join folders
        on live_traits.trait_id = folders.folder

),

folder_traits as (

    select
        live_traits.visitor_id,
        folders.folder as trait_id,
        'folder' as source,
        max({
            'last_observed_at': live_traits.last_observed_at,
            'trait_id': live_traits.trait_id,
            'value': live_traits.value
        }).value as value,
        cast(sum(live_traits.observations) as bigint) as observations,
        {%- for days in var('trait_windows') %}
        cast(sum(live_traits.frequency_{{ days | int }}) as bigint) as frequency_{{ days | int }},
        {%- endfor %}
        min(live_traits.first_observed_at) as first_observed_at,
        max(live_traits.last_observed_at) as last_observed_at,
        case
            when count(live_traits.expires_at) = count(*) then max(live_traits.expires_at)
        end as expires_at,
    from live_traits
    inner join folders
        on live_traits.trait_id = folders.trait_id
    group by live_traits.visitor_id, folders.folder

),

final as (

    select * from own_traits

    union all by name

    select * from folder_traits

)

select * from final
