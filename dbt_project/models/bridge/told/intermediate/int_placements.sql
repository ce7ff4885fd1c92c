-- noqa: disable=LT02
-- (the linter loses count of indents where a loop writes CTEs)

-- The placements with as many events as there must be people for anything to be told of them. A site of one category
-- lies within it, and has no contexts; a category of one site lies within that.

with

events as (

    {{ events_of_placements() | indent(4) }}

),

{%- for dimension, value in placement_dimensions().items() %}

{{ dimension }}_placements as (

    select
        '{{ dimension }}' as dimension,
        {{ value }} as value,
        {%- if dimension in ('context', 'category') %}
        case when min(coalesce(site, '')) = max(coalesce(site, '')) then min(site) end as within_site,
        {%- else %}
        cast(null as varchar) as within_site,
        {%- endif %}
        {%- if dimension in ('context', 'site') %}
        case
            when min(coalesce(content_category, '')) = max(coalesce(content_category, '')) then min(content_category)
        end as within_category,
        {%- else %}
        cast(null as varchar) as within_category,
        {%- endif %}
    from events
    where {{ value }} is not null
    group by {{ value }}
    having count(*) >= {{ var('minimum_cell') }}

),
{%- endfor %}

varied_sites as (

    select value as site
    from site_placements
    where within_category is null

),

placements as (

    {%- for dimension in placement_dimensions() %}

    select {{ dimension }}_placements.*
    from {{ dimension }}_placements
    {%- if dimension == 'context' %}
    inner join varied_sites
        on context_placements.within_site = varied_sites.site
    {%- endif %}
    {{- '\n\n    union all' if not loop.last }}
    {%- endfor %}

),

final as (

    select
        cast(row_number() over (order by dimension, value) as integer) as placement_id,
        dimension,
        value,
        within_site,
        within_category,
    from placements

)

select * from final
