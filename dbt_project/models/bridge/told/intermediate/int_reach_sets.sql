-- The sets of people that are counted. Customers are counted as customers; whoever can be met off-site is counted as
-- people behind visitors: members of the dmp side, customers through their matches, and look-alikes.

with

audience_rules as (

    select * from {{ ref('int_audience_rules') }}

),

audience_sizes as (

    select * from {{ ref('int_audience_sizes') }}

),

lookalike_models as (

    select * from {{ ref('lookalike_models') }}

),

audiences as (

    select
        audience_rules.audience_id,
        audience_rules.side,
    from audience_rules
    inner join audience_sizes
        on audience_rules.audience_id = audience_sizes.audience_id
    where audience_sizes.is_large_enough

),

sets as (

    select
        'customers' as unit,
        audience_id,
        'members' as part,
    from audiences
    where side = 'cdp'

    union all

    select
        'visitors' as unit,
        audience_id,
        'members' as part,
    from audiences

    union all

    select
        'visitors' as unit,
        audiences.audience_id,
        'lookalikes' as part,
    from audiences
    inner join lookalike_models
        on audiences.audience_id = lookalike_models.audience_id
    where lookalike_models.verdict = 'published'

),

final as (

    select
        cast(row_number() over (order by unit, audience_id, part) as integer) as set_id,
        unit,
        audience_id,
        part,
    from sets

)

select * from final
