{{ config(materialized='accumulated', meta={'kind': 'messages'}) }}
{%- set delivered = landed_rows_of('messages', this) -%}
with

source as (

    select * from {{ delivered }}

),

renamed as (

    select
        message_id,
        action,
        occurred_at,
        {{ normalise_id('customer_number') }} as customer_number,
        {{ normalise_id('loyalty_number') }} as loyalty_number,
        {{ normalise_id('user_id') }} as user_id,
        email,
        phone,
        {{ normalise_id('anonymous_id') }} as anonymous_id,
        {{ normalise_id('device_id') }} as device_id,
        campaign_id,
        medium,
        channel,
        party,
        source_file,
        source_row,
        is_deleted,
        landed_on,
        attributes,
        rejected_values,
    from source

),

{{ latest_versions_of('renamed', 'messages', with_deleted=true, rows=delivered) }},

{{ with_contacts('latest') }},

{{ held_versions_of('normalised', 'messages', this) }},

final as (

    select
        *,
        {{ node_key('messages', identifiers_of('messages')) }} as node_key,
    from held

)

select * from final
