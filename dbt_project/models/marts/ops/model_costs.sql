-- The models of publish itself are built while this table is: theirs of the day come with the next release.

with

model_costs as (

    select * from {{ source('ops', 'model_costs') }}

),

final as (

    select
        step,
        model,
        tests,
        warned_tests,
        wall_seconds,
        test_seconds,
        as_of_date,
    from model_costs
    where
        as_of_date < {{ as_of_date() }}
        or (as_of_date = {{ as_of_date() }} and step <> 'publish')

)

select * from final
