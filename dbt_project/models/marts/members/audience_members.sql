{{- config(meta={
    'in_parts_of': 'int_audience_membership',
    'parted_by': 'member_id',
    'at_a_time': 'members_at_a_time',
}) -}}

with

audience_rules as (

    select * from {{ ref('int_audience_rules') }}

),

audience_sizes as (

    select * from {{ ref('int_audience_sizes') }}

),

membership as (

    select * from {{ ref('int_audience_membership') }}
    where {{ in_part('member_id') }}

),

lookalike_members as (

    select * from {{ ref('lookalike_members') }}
    where {{ in_part('visitor_id') }}

),

visitors as (

    select
        visitor_id,
        expires_at,
    from {{ ref('visitors') }}
    where {{ in_part('visitor_id') }}

),

known_visitors as (

    select * from {{ ref('int_known_visitors') }}
    where {{ in_part('visitor_id') }}

),

earlier_members as (

    select * from {{ ref('int_earlier_members') }}
    where {{ in_part('member_id') }}

),

members as (

    select
        audience_id,
        member_id,
        side,
        'rule' as source,
        cast(null as timestamp) as model_expires_at,
    from membership

    union all

    select
        audience_id,
        visitor_id as member_id,
        'dmp' as side,
        'lookalike' as source,
        expires_at as model_expires_at,
    from lookalike_members

),

publishable_members as (

    select
        members.*,
        case when members.side = 'dmp' then members.member_id end as visitor_id,
        audience_rules.ttl_days,
    from members
    inner join audience_rules
        on members.audience_id = audience_rules.audience_id
    inner join audience_sizes
        on members.audience_id = audience_sizes.audience_id
    where audience_sizes.is_large_enough

),

final as (

    select
        publishable_members.audience_id,
        publishable_members.member_id,
        publishable_members.side,
        publishable_members.source,
        {{ is_control(
            'coalesce(known_visitors.customer_id, publishable_members.member_id)',
            control_share_of('publishable_members.audience_id')
        ) }} as is_control,
        coalesce(earlier_members.entered_at, cast({{ as_of_date() }} as timestamp)) as entered_at,
        least(
            publishable_members.model_expires_at,
            visitors.expires_at,
            {{ end_of_day() }} + to_days(nullif(publishable_members.ttl_days, 0))
        ) as expires_at,
    from publishable_members
    left join visitors
        on publishable_members.visitor_id = visitors.visitor_id
    left join known_visitors
        on publishable_members.visitor_id = known_visitors.visitor_id
    left join earlier_members
        on
            publishable_members.audience_id = earlier_members.audience_id
            and publishable_members.member_id = earlier_members.member_id

)

select * from final
