with

history as (

    select * from {{ source('identity', 'history') }}

),

-- Evidence may be older than what it changes: an interval does not end before it begins.
ordered as (

    select
        issued_customer_id,
        customer_id,
        change,
        reason,
        as_of_date,
        max(effective_at) over (
            partition by issued_customer_id
            order by as_of_date
            rows between unbounded preceding and current row
        ) as effective_at,
    from history

),

final as (

    select
        issued_customer_id,
        customer_id,
        change,
        reason,
        lead(as_of_date) over by_id is null as is_current,
        as_of_date,
        lead(as_of_date) over by_id as superseded_on,
        effective_at,
        lead(effective_at) over by_id as superseded_at,
    from ordered
    window by_id as (partition by issued_customer_id order by as_of_date)

)

select * from final
