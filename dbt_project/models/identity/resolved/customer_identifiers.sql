with

identifier_customers as (

    select * from {{ source('identity', 'identifier_customers') }}

),

final as (

    select
        customer_id,
        id_type,
        id_value,
        observations,
        first_seen_at,
        last_seen_at,
    from identifier_customers

)

select * from final
