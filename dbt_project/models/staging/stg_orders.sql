{{ config(materialized='accumulated', meta={'kind': 'orders'}) }}
{%- set delivered = landed_rows_of('orders', this) -%}
with

source as (

    select * from {{ delivered }}

),

renamed as (

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
        is_deleted,
        landed_on,
        attributes,
        rejected_values,
    from source

),

{{ latest_versions_of('renamed', 'orders', with_deleted=true, rows=delivered) }},

{{ with_contacts('latest') }},

{{ held_versions_of('normalised', 'orders', this) }},

final as (

    select
        *,
        {{ node_key('orders', identifiers_of('orders')) }} as node_key,
    from held

)

select * from final
