-- noqa: disable=LT02
-- (the linter loses count of indents where a loop writes a union)

-- The placements with as many events as there must be people for anything to be told of them.

with

events as (

    {{ events_of_placements() | indent(4) }}

),

{%- for dimension, value in placement_dimensions().items() %}

{{ dimension }}_placements as (

    select
        '{{ dimension }}' as dimension,
        {{ value }} as value,
        {{ 'site' if dimension == 'context' else 'cast(null as varchar)' }} as within_site,
        {{ 'content_category' if dimension == 'context' else 'cast(null as varchar)' }} as within_category,
    from events
    where {{ value }} is not null
    group by all
    having count(*) >= {{ var('minimum_cell') }}

),
{%- endfor %}

placements as (

    {%- for dimension in placement_dimensions() %}

    select * from {{ dimension }}_placements
    {{- '\n\n    union all' if not loop.last }}
    {%- endfor %}

),

final as (

    select
        cast(row_number() over (order by dimension, value, within_site, within_category) as integer) as placement_id,
        dimension,
        value,
        within_site,
        within_category,
    from placements

)

select * from final
