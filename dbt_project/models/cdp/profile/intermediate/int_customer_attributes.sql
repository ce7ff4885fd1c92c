with

customer_versions as (

    select * from {{ ref('stg_customer_versions') }}

),

node_customers as (

    select * from {{ ref('int_node_customers') }}

),

ordered as (

    select
        node_customers.customer_id,
        customer_versions.*,
        coalesce(
            customer_versions.street,
            customer_versions.city,
            customer_versions.region,
            customer_versions.postcode,
            customer_versions.country
        ) is not null as has_address,
        row_number() over (
            partition by node_customers.customer_id
            order by
                customer_versions.observed_at,
                customer_versions.landed_on,
                customer_versions.channel,
                customer_versions.record_id,
                customer_versions.source_file,
                customer_versions.source_row
        ) as version_number,
    from customer_versions
    inner join node_customers
        on customer_versions.node_key = node_customers.node_key

),

-- The address is one value: a new street is never joined to an old town, so its parts may be null.
final as (

    select
        customer_id,
        {{ latest_value('given_name') }},
        {{ latest_value('family_name') }},
        {{ latest_value('birth_date') }},
        {{ latest_value('gender') }},
        arg_max_null(street, version_number) filter (where has_address) as street,
        arg_max_null(city, version_number) filter (where has_address) as city,
        arg_max_null(region, version_number) filter (where has_address) as region,
        arg_max_null(postcode, version_number) filter (where has_address) as postcode,
        arg_max_null(country, version_number) filter (where has_address) as country,
        arg_max(channel, version_number) filter (where has_address) as address_channel,
        arg_max(observed_at, version_number) filter (where has_address) as address_observed_at,
    from ordered
    group by customer_id

)

select * from final
