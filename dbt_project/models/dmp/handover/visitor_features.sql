-- Only what can be observed of customers and strangers alike. A visit of an owned site would tell the model who is a
-- customer already, so nothing is taken from there.

with

events as (

    select *
    from {{ ref('int_visitor_events') }}
    where not is_owned_site

),

foreign_traits as (

    select * from {{ ref('trait_qualifications') }}
    where source in ('second', 'third')

),

visitors as (

    select visitor_id from {{ ref('visitors') }}

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

counted as (

    select
        visitor_id,
        feature,
        cast(count(*) as double) as value,
    from event_features
    where feature is not null
    group by visitor_id, feature

    union all

    select
        visitor_id,
        'trait:' || trait_id || '=' || coalesce(value, '') as feature,
        cast(1 as double) as value,
    from foreign_traits

),

final as (

    select counted.*
    from counted
    inner join visitors
        on counted.visitor_id = visitors.visitor_id

)

select * from final
