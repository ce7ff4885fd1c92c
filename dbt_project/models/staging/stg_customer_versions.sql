with

source as (

    select * from {{ source('landing', 'customers') }}
    where date <= {{ as_of_date() }}

),

versions as (

    select
        record_id,
        'customers:' || channel || ':' || record_id as node_key,
        {{ normalise_id('customer_number') }} as customer_number,
        {{ normalise_id('loyalty_number') }} as loyalty_number,
        {{ normalise_id('user_id') }} as user_id,
        {{ normalise_email('email') }} as email,
        {{ normalise_phone('phone') }} as phone,
        {{ normalise_id('national_id') }} as national_id,
        {{ normalise_id('given_name') }} as given_name,
        {{ normalise_id('family_name') }} as family_name,
        {{ normalise_id('gender') }} as gender,
        {{ normalise_id('street') }} as street,
        {{ normalise_id('city') }} as city,
        {{ normalise_id('region') }} as region,
        {{ normalise_id('postcode') }} as postcode,
        {{ normalise_id('country') }} as country,
        channel,
        party,
        source_file,
        source_row,
        birth_date,
        is_deleted,
        date as landed_on,
        observed_at,
        attributes,
        rejected_values,
    from source

),

{{ deleted_records_of('versions', 'customers') }},

final as (

    select versions.* exclude (is_deleted)
    from versions
    anti join deleted_customers
        on
            {{ same('versions', 'deleted_customers', ['channel'] + record_key('customers')) }}
    where not coalesce(versions.is_deleted, false)

)

select * from final
