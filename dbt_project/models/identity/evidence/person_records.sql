with

customers as (

    select * from {{ ref('stg_customers') }}

),

final as (

    select
        node_key,
        channel,
        record_id,
        given_name,
        family_name,
        gender,
        national_id,
        loyalty_number,
        email,
        phone,
        street,
        city,
        region,
        postcode,
        country,
        birth_date,
    from customers

)

select * from final
