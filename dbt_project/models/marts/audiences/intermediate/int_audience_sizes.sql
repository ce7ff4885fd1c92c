with

audience_rules as (

    select * from {{ ref('int_audience_rules') }}

),

membership as (

    select * from {{ ref('int_audience_membership') }}

),

counted as (

    select
        audience_id,
        count(*) as size,
    from membership
    group by audience_id

),

final as (

    select
        audience_rules.audience_id,
        coalesce(counted.size, 0) as size,
        coalesce(counted.size, 0) >= coalesce(audience_rules.min_size, 0) as is_large_enough,
    from audience_rules
    left join counted
        on audience_rules.audience_id = counted.audience_id

)

select * from final
