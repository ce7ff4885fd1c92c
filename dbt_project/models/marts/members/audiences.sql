with

audience_rules as (

    select * from {{ ref('int_audience_rules') }}

),

audience_sizes as (

    select * from {{ ref('int_audience_sizes') }}

),

audience_traits as (

    select * from {{ ref('int_audience_traits') }}

),

members as (

    select * from {{ ref('audience_members') }}

),

warnings as (

    select
        audience_id,
        'nobody holds ' || string_agg(trait_id || ' (' || standing || ')', ', ' order by trait_id) as trait_warning,
    from audience_traits
    where standing <> 'held'
    group by audience_id

),

counted_members as (

    select
        audience_id,
        count(*) filter (where source = 'lookalike') as lookalike_size,
        count(*) filter (where is_control) as control_size,
    from members
    group by audience_id

),

final as (

    select
        audience_rules.audience_id,
        audience_rules.name,
        audience_rules.description,
        audience_rules.side,
        audience_rules.definition,
        audience_rules.definition_version,
        case
            when audience_sizes.is_large_enough then 'published'
            else 'below_min_size'
        end as status,
        audience_sizes.size,
        coalesce(counted_members.lookalike_size, 0) as lookalike_size,
        coalesce(counted_members.control_size, 0) as control_size,
        coalesce(audience_rules.min_size, 0) as min_size,
        coalesce(audience_rules.ttl_days, 0) as ttl_days,
        audience_rules.has_lookalike,
        warnings.trait_warning,
        {{ as_of_date() }} as as_of_date,
    from audience_rules
    inner join audience_sizes
        on audience_rules.audience_id = audience_sizes.audience_id
    left join counted_members
        on audience_rules.audience_id = counted_members.audience_id
    left join warnings
        on audience_rules.audience_id = warnings.audience_id

)

select * from final
