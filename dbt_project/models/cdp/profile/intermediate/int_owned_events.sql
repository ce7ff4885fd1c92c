with

device_events as (

    select * from {{ ref('int_device_events') }}

),

-- An event that carries several shared identifiers is somebody's only when all of them say the same one.
final as (

    select
        channel,
        event_id,
        min(owner_id) as customer_id,
    from device_events
    where customer_id is null
    group by all
    having
        min(owner_id) = max(owner_id)
        and count(owner_id) = count(*)

)

select * from final
