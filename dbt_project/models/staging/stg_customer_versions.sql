with

source as (

    select * from {{ source('landing', 'customers') }}
    where date <= {{ as_of_date() }}

),

countries as (

    select * from {{ source('dictionaries', 'countries') }}

),

versions as (

    select
        source.record_id,
        'customers:' || source.channel || ':' || source.record_id as node_key,
        {{ normalise_id('source.customer_number') }} as customer_number,
        {{ normalise_id('source.loyalty_number') }} as loyalty_number,
        {{ normalise_id('source.user_id') }} as user_id,
        emails.email,
        phones.phone,
        {{ normalise_id('source.national_id') }} as national_id,
        {{ normalise_name('source.given_name') }} as given_name,
        {{ normalise_name('source.family_name') }} as family_name,
        {{ normalise_id('source.gender') }} as gender,
        {{ normalise_line('source.street') }} as street,
        {{ normalise_line('source.city') }} as city,
        {{ normalise_line('source.region') }} as region,
        {{ normalise_postcode('source.postcode') }} as postcode,
        countries.country,
        source.channel,
        source.party,
        source.source_file,
        source.source_row,
        coalesce(emails.is_disposable, false) as is_disposable_email,
        coalesce(emails.is_role, false) as is_role_email,
        source.birth_date,
        source.is_deleted,
        source.date as landed_on,
        source.observed_at,
        source.attributes,
        {{ with_refused('source.rejected_values', {
            'email': ('source.email', 'emails.email'),
            'phone': ('source.phone', 'phones.phone'),
            'country': ('source.country', 'countries.country'),
            'given_name': ('source.given_name', normalise_name('source.given_name')),
            'family_name': ('source.family_name', normalise_name('source.family_name')),
        }) }} as rejected_values,
    from source
    left join countries
        on source.country = countries.raw
    {{ join_contacts('source.email', 'source.phone', 'countries.country') }}

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
