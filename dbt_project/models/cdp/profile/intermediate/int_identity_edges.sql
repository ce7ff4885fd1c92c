with

edges as (

    select * from {{ source('identity', 'edges') }}

),

final as (

    select
        node_key,
        id_type,
        id_value,
        status,
        reason,
        first_seen_at,
        last_seen_at,
    from edges

)

select * from final
