with

health as (

    select * from {{ source('identity', 'health') }}
    where as_of_date <= {{ as_of_date() }}

),

final as (

    select
        measure,
        part,
        value,
        case
            when measure in ('customers_by_size', 'customers_by_tier', 'edges')
                then value / nullif(sum(value) over (partition by as_of_date, measure), 0)
        end as share,
        as_of_date,
    from health

)

select * from final
