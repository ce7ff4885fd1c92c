-- noqa: disable=LT02
-- (the linter loses count of indents where a loop writes a union)

-- Where the people behind visitors were met off-site within the window, each placement once.

with

events as (

    {{ events_of_placements() | indent(4) }}

),

placements as (

    select * from {{ ref('int_placements') }}

),

reach_visitors as (

    select * from {{ ref('int_reach_visitors') }}

),

{%- for dimension, value in placement_dimensions().items() %}

met_by_{{ dimension }} as (

    select distinct
        events.visitor_id,
        placements.placement_id,
    from events
    inner join placements
        on
            {%- if dimension == 'context' %}
            events.site = placements.within_site
            and events.content_category = placements.within_category
            {%- else %}
            {{ value }} = placements.value
            {%- endif %}
            and placements.dimension = '{{ dimension }}'

),
{%- endfor %}

met as (

    {%- for dimension in placement_dimensions() %}

    select * from met_by_{{ dimension }}
    {{- '\n\n    union all' if not loop.last }}
    {%- endfor %}

),

final as (

    select distinct
        reach_visitors.person_hash,
        met.placement_id,
    from met
    inner join reach_visitors
        on met.visitor_id = reach_visitors.visitor_id

)

select * from final
