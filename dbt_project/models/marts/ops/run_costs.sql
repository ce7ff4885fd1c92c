-- What is known when publish begins: what publish itself takes is told by the release of the next run.

with

run_costs as (

    select * from {{ source('runs', 'run_costs') }}

),

final as (

    select
        step,
        part,
        row_number() over (partition by as_of_date, step, part order by file_row_number) as attempt,
        status,
        rows,
        peak_memory_bytes,
        wall_seconds,
        cpu_seconds,
        as_of_date,
    from run_costs
    where as_of_date <= {{ as_of_date() }}

)

select * from final
