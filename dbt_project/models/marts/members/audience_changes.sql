-- Who came into an audience and who left it, and why, as far as sets can tell it. Of a member who is gone, because
-- consent was withdrawn or the visitor forgotten, only that they left is kept, and no longer than it takes to remove
-- them where they were sent.

with

audience_rules as (

    select * from {{ ref('int_audience_rules') }}

),

audience_sizes as (

    select * from {{ ref('int_audience_sizes') }}

),

asked_traits as (

    select
        audience_id,
        unnest(member_trait_ids) as trait_id,
    from {{ ref('int_audience_traits') }}

),

members as (

    select * from {{ ref('audience_members') }}

),

earlier_audiences as (

    select * from {{ ref('int_earlier_audiences') }}

),

earlier_members as (

    select * from {{ ref('int_earlier_members') }}

),

earlier_changes as (

    select * from {{ ref('int_earlier_changes') }}

),

visitors as (

    select visitor_id from {{ ref('visitors') }}

),

refusing_visitors as (

    select visitor_id
    from {{ ref('int_visitor_consents') }}
    where not is_granted

),

known_visitors as (

    select visitor_id from {{ ref('int_known_visitors') }}

),

customers as (

    select customer_id from {{ ref('customers') }}

),

merged_customers as (

    select distinct previous_customer_id as customer_id
    from {{ ref('identity_changes') }}
    where change = 'merged'

),

published_models as (

    select audience_id
    from {{ ref('lookalike_models') }}
    where verdict = 'published'

),

observations as (

    select * from {{ ref('int_trait_observations') }}

),

living_members as (

    select
        'dmp' as side,
        visitor_id as member_id,
    from visitors

    union all

    select
        'cdp' as side,
        customer_id as member_id,
    from customers

),

kept_changes as (

    select earlier_changes.*
    from earlier_changes
    left join living_members
        on
            earlier_changes.side = living_members.side
            and earlier_changes.member_id = living_members.member_id
    where
        earlier_changes.changed_date > {{ as_of_date() }} - {{ var('visitor_idle_days') }}
        and (
            living_members.member_id is not null
            or (
                earlier_changes.change = 'left'
                and earlier_changes.changed_date > {{ as_of_date() }} - {{ var('removal_days') }}
            )
        )

),

entered_members as (

    select
        members.audience_id,
        members.member_id,
        members.side,
        'entered' as change,
        members.source,
        case
            when members.source = 'lookalike' then 'lookalike'
            when earlier_audiences.audience_id is null then 'audience_added'
            when earlier_audiences.status = 'below_min_size' then 'min_size_reached'
            when earlier_audiences.definition_version <> audience_rules.definition_version then 'definition_changed'
            else 'qualified'
        end as reason,
        members.is_control,
    from members
    inner join audience_rules
        on members.audience_id = audience_rules.audience_id
    left join earlier_audiences
        on members.audience_id = earlier_audiences.audience_id
    anti join earlier_members
        on
            members.audience_id = earlier_members.audience_id
            and members.member_id = earlier_members.member_id

),

former_members as (

    select
        earlier_members.*,
        case when earlier_members.side = 'dmp' then earlier_members.member_id end as visitor_id,
        case when earlier_members.side = 'cdp' then earlier_members.member_id end as customer_id,
        earlier_audiences.definition_version,
        earlier_audiences.as_of_date,
    from earlier_members
    left join earlier_audiences
        on earlier_members.audience_id = earlier_audiences.audience_id
    anti join members
        on
            earlier_members.audience_id = members.audience_id
            and earlier_members.member_id = members.member_id

),

-- Of a trait that the audience asks for, what the visitor held on the earlier day has ended since.
members_of_ended_traits as (

    select distinct
        former_members.audience_id,
        former_members.member_id,
    from former_members
    inner join asked_traits
        on former_members.audience_id = asked_traits.audience_id
    inner join observations
        on
            former_members.member_id = observations.visitor_id
            and asked_traits.trait_id = observations.trait_id
    where
        former_members.side = 'dmp'
        and not observations.is_live
        and observations.expires_at > cast(former_members.as_of_date + interval 1 day as timestamp)

),

left_members as (

    select
        former_members.audience_id,
        former_members.member_id,
        former_members.side,
        'left' as change,
        former_members.source,
        case
            when refusing_visitors.visitor_id is not null then 'consent_withdrawn'
            when former_members.side = 'dmp' and living_members.member_id is null then 'visitor_forgotten'
            when merged_customers.customer_id is not null and living_members.member_id is null then 'customer_merged'
            when living_members.member_id is null then 'customer_erased'
            when audience_rules.audience_id is null then 'audience_removed'
            when not audience_sizes.is_large_enough then 'below_min_size'
            when former_members.source = 'lookalike' and not audience_rules.has_lookalike then 'definition_changed'
            when former_members.source = 'lookalike' and known_visitors.visitor_id is not null then 'became_known'
            when former_members.source = 'lookalike' and published_models.audience_id is null then 'model_refused'
            when former_members.source = 'lookalike' then 'no_longer_alike'
            when former_members.definition_version <> audience_rules.definition_version then 'definition_changed'
            when members_of_ended_traits.member_id is not null then 'trait_expired'
            else 'rule_no_longer_holds'
        end as reason,
        former_members.is_control,
    from former_members
    left join living_members
        on
            former_members.side = living_members.side
            and former_members.member_id = living_members.member_id
    left join refusing_visitors
        on former_members.visitor_id = refusing_visitors.visitor_id
    left join known_visitors
        on former_members.visitor_id = known_visitors.visitor_id
    left join merged_customers
        on former_members.customer_id = merged_customers.customer_id
    left join audience_rules
        on former_members.audience_id = audience_rules.audience_id
    left join audience_sizes
        on former_members.audience_id = audience_sizes.audience_id
    left join published_models
        on former_members.audience_id = published_models.audience_id
    left join members_of_ended_traits
        on
            former_members.audience_id = members_of_ended_traits.audience_id
            and former_members.member_id = members_of_ended_traits.member_id

),

final as (

    select
        audience_id,
        member_id,
        changed_date,
        side,
        change,
        source,
        reason,
        is_control,
    from kept_changes

    union all

    select
        audience_id,
        member_id,
        {{ as_of_date() }} as changed_date,
        side,
        change,
        source,
        reason,
        is_control,
    from entered_members

    union all

    select
        audience_id,
        member_id,
        {{ as_of_date() }} as changed_date,
        side,
        change,
        source,
        reason,
        is_control,
    from left_members

)

select * from final
