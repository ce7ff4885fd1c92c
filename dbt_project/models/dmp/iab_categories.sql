with

categories as (

    select * from {{ ref('stg_iab_categories') }}

),

sensitive_content as (

    {{ sensitive_categories() | indent(4) }}

),

sensitive_audiences as (

    {{ sensitive_audiences() | indent(4) }}

),

final as (

    select
        categories.taxonomy,
        categories.version,
        categories.category_id,
        categories.parent_id,
        categories.name as category_name,
        categories.path,
        categories.tier_1,
        coalesce(
            sensitive_content.content_category_id, sensitive_audiences.iab_audience_id
        ) is not null as is_sensitive,
        'IAB Tech Lab, CC BY 3.0' as attribution,
    from categories
    left join sensitive_content
        on
            case categories.taxonomy when 'content' then categories.category_id end
            = sensitive_content.content_category_id
    left join sensitive_audiences
        on
            case categories.taxonomy when 'audience' then categories.category_id end
            = sensitive_audiences.iab_audience_id

)

select * from final
