-- The gate of publish judges the release that this table goes into, so its results of the day come with the next one.

with

quality_results as (

    select * from {{ source('ops', 'quality_results') }}

),

final as (

    select
        step,
        row_number() over (
            partition by as_of_date, step
            order by asset, expectation, column_name, meaning, observed
        ) as result_number,
        asset,
        expectation,
        column_name,
        severity,
        {{ without_identifiers('observed') }} as observed,
        {{ without_identifiers('examples') }} as examples,
        meaning,
        owner,
        unexpected_count,
        unexpected_share,
        success,
        as_of_date,
    from quality_results
    where
        as_of_date < {{ as_of_date() }}
        or (as_of_date = {{ as_of_date() }} and step <> 'publish')

)

select * from final
