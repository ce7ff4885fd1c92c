{#
    What may be learned of visitors as of the end of a day: off-site behaviour and what other parties say, the same for
    customers and strangers. A visit of an owned site would tell the model who is a customer already, so nothing is
    taken from there. One row per visitor and feature: a count of events, 1 for a value of a trait, or the number that
    a trait holds.
#}
{% macro visitor_features_until(day) -%}
    with

    events as (

        select *
        from {{ ref('int_visitor_events') }}
        where
            not is_owned_site
            and event_day <= {{ day }}

    ),

    foreign_traits as (

        select *
        from {{ ref('int_visitor_traits') }}
        where observed_at < {{ end_of_day(day) }}

    ),

    visitors as (

        select visitor_id from {{ ref('visitors') }}

    ),

    live_traits as (

        select
            visitor_id,
            trait_id,
        from {{ ref('trait_qualifications') }}
        where
            source in ('second', 'third')
            and not list_contains([{{ audited_traits() }}], trait_id)

    ),

    event_features as (

        select
            visitor_id,
            unnest([
                'category:' || content_category,
                'site:' || site,
                'device:' || device,
                'hours:' || case
                    when hour < 6 then '00-06'
                    when hour < 12 then '06-12'
                    when hour < 18 then '12-18'
                    else '18-24'
                end,
            ]) as feature,
        from events

    ),

    -- Of each provider the newest delivery counts, with all the values that it has.
    ranked_traits as (

        select
            foreign_traits.visitor_id,
            foreign_traits.trait_id,
            trim(foreign_traits.value) as value,
            foreign_traits.observed_at,
            rank() over (
                partition by foreign_traits.visitor_id, foreign_traits.trait_id, foreign_traits.provider
                order by foreign_traits.observed_at desc
            ) as place,
        from foreign_traits
        inner join live_traits
            on
                foreign_traits.visitor_id = live_traits.visitor_id
                and foreign_traits.trait_id = live_traits.trait_id

    ),

    current_traits as (

        select
            *,
            {{ written_number('value') }} as number,
        from ranked_traits
        where
            place = 1
            and value <> ''

    ),

    -- A few numbers are names of groups; of many, the order is what tells.
    numeric_traits as (

        select trait_id
        from current_traits
        group by trait_id
        having
            count(number) >= 0.95 * count(*)
            and count(distinct number) > 10

    ),

    numbers as (

        select
            current_traits.visitor_id,
            'trait:' || current_traits.trait_id as feature,
            max({'observed_at': current_traits.observed_at, 'number': current_traits.number}).number as value,
        from current_traits
        inner join numeric_traits
            on current_traits.trait_id = numeric_traits.trait_id
        where current_traits.number is not null
        group by current_traits.visitor_id, current_traits.trait_id

    ),

    labels as (

        select
            current_traits.visitor_id,
            current_traits.trait_id,
            unnest({{ listed_values('current_traits.value') }}) as value,
        from current_traits
        anti join numeric_traits
            on current_traits.trait_id = numeric_traits.trait_id

    ),

    features as (

        select
            visitor_id,
            feature,
            cast(count(*) as double) as value,
        from event_features
        where feature is not null
        group by visitor_id, feature

        union all

        select distinct
            visitor_id,
            'trait:' || trait_id || '=' || value as feature,
            cast(1 as double) as value,
        from labels
        where value <> ''

        union all

        select
            visitor_id,
            feature,
            value,
        from numbers

    ),

    final as (

        select features.*
        from features
        inner join visitors
            on features.visitor_id = visitors.visitor_id

    )

    select * from final
{%- endmacro %}

{# The number that a text is written as, or null; a leading zero makes a code and no number. #}
{% macro written_number(text) -%}
    case
        when regexp_full_match({{ text }}, '[+-]?(0|[1-9][0-9]{0,14})(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?')
            then try_cast({{ text }} as double)
    end
{%- endmacro %}

{# The values that a text lists, as other parties write several of them: with ; or | between. #}
{% macro listed_values(text) -%}
    list_transform(string_split_regex({{ text }}, '[|;]'), lambda part: trim(part))
{%- endmacro %}

{# The day as of which look-alikes are tested on what came after it. #}
{% macro lookalike_test_day() -%}
    {{ as_of_date() }} - {{ var('lookalike_test_days', 28) | int }}
{%- endmacro %}

{# The traits that are never learned from, as texts of a list; the list is of texts when it is empty too. #}
{% macro audited_traits() -%}
    cast(null as varchar)
    {%- for trait in var('audited_traits', []) %}, {{ text_literal(trait) }}{% endfor %}
{%- endmacro %}
