{{ config(group='audience', access='protected') }}

-- Only of models that beat their baseline, and only visitors who are still there: consent may have been withdrawn
-- since the seeds were drawn.

with

members as (

    select * from {{ source('ml', 'lookalike_members') }}

),

published_models as (

    select audience_id
    from {{ ref('lookalike_models') }}
    where verdict = 'published'

),

visitors as (

    select
        visitor_id,
        expires_at,
    from {{ ref('visitors') }}

),

final as (

    select
        members.audience_id,
        members.visitor_id,
        members.level,
        members.score,
        members.percentile,
        {{ is_control('members.visitor_id', control_share_of('members.audience_id')) }} as is_control,
        members.as_of_date,
        least(members.expires_at, visitors.expires_at) as expires_at,
    from members
    inner join published_models
        on members.audience_id = published_models.audience_id
    inner join visitors
        on members.visitor_id = visitors.visitor_id

)

select * from final
