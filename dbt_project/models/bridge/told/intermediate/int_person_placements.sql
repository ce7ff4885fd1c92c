-- noqa: disable=LT02
-- (the linter loses count of indents where a loop writes a union)

-- Where the people behind visitors were met off-site within the window, each placement once. An event is first one of
-- a person and of numbered placements: what is sorted out after that are numbers.

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

met as materialized (

    select
        reach_visitors.person_hash,
        {%- for dimension in placement_dimensions() %}
        at_{{ dimension }}.placement_id as {{ dimension }}_id,
        {%- endfor %}
    from events
    inner join reach_visitors
        on events.visitor_id = reach_visitors.visitor_id
    {%- for dimension, value in placement_dimensions().items() %}
    left join placements as at_{{ dimension }}
        on
            {%- if dimension == 'context' %}
            events.site = at_context.within_site
            and events.content_category = at_context.within_category
            {%- else %}
            {{ value }} = at_{{ dimension }}.value
            {%- endif %}
            and at_{{ dimension }}.dimension = '{{ dimension }}'
    {%- endfor %}

),

final as (

    {%- for dimension in placement_dimensions() %}

    select distinct
        person_hash,
        {{ dimension }}_id as placement_id,
    from met
    where {{ dimension }}_id is not null
    {{- '\n\n    union all' if not loop.last }}
    {%- endfor %}

)

select * from final
