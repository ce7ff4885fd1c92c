with

source as not materialized (

    select * from {{ source('landing', 'orders') }}
    where date <= {{ as_of_date() }}

),

renamed as not materialized (

    select
        order_id,
        {{ normalise_id('customer_number') }} as customer_number,
        {{ normalise_id('loyalty_number') }} as loyalty_number,
        {{ normalise_id('user_id') }} as user_id,
        email,
        phone,
        {{ normalise_id('anonymous_id') }} as anonymous_id,
        {{ normalise_id('device_id') }} as device_id,
        status,
        sales_channel,
        store_id,
        currency,
        coupon,
        channel,
        party,
        source_file,
        source_row,
        total,
        discount,
        {{ is_valid_order('status') }} as is_valid,
        ordered_at,
        updated_at,
        date as landed_on,
        attributes,
        rejected_values,
    from source

),

{{ latest_versions_of('renamed', key=['order_id'], ordered_by='coalesce(updated_at, ordered_at)') }},

{{ with_contacts('latest') }},

final as (

    select
        *,
        {{ node_key('orders', identifiers_of('orders')) }} as node_key,
    from normalised

)

select * from final
