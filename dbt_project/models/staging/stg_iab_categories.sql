with

content_categories as (

    select * from {{ source('taxonomies', 'content_taxonomy_3_1') }}

),

audience_categories as (

    select * from {{ source('taxonomies', 'audience_taxonomy_1_1') }}

),

renamed as (

    select
        'content' as taxonomy,
        '3.1' as version,
        trim(category_id) as category_id,
        nullif(trim(parent_id), '') as parent_id,
        {{ tiers_of('[tier_1, tier_2, tier_3, tier_4]') | indent(8) }} as tiers,
    from content_categories

    union all

    select
        'audience' as taxonomy,
        '1.1' as version,
        trim(category_id) as category_id,
        nullif(trim(parent_id), '') as parent_id,
        {{ tiers_of('[tier_1, tier_2, tier_3, tier_4, tier_5, tier_6]') | indent(8) }} as tiers,
    from audience_categories

),

final as (

    select
        taxonomy,
        version,
        category_id,
        parent_id,
        tiers[-1] as name,
        array_to_string(tiers, ' | ') as path,
        tiers[1] as tier_1,
    from renamed

)

select * from final
