{{ config(materialized='accumulated', meta={'kind': 'interactions'}) }}
{%- set delivered = landed_rows_of('interactions', this) -%}
with

source as (

    select * from {{ delivered }}

),

renamed as (

    select
        interaction_id,
        {{ normalise_id('customer_number') }} as customer_number,
        {{ normalise_id('loyalty_number') }} as loyalty_number,
        {{ normalise_id('user_id') }} as user_id,
        email,
        phone,
        {{ normalise_id('anonymous_id') }} as anonymous_id,
        {{ normalise_id('device_id') }} as device_id,
        type,
        direction,
        reason,
        outcome,
        channel,
        party,
        source_file,
        source_row,
        duration_seconds,
        satisfaction,
        occurred_at,
        is_deleted,
        landed_on,
        attributes,
        rejected_values,
    from source

),

{{ latest_versions_of('renamed', 'interactions', with_deleted=true, rows=delivered) }},

{{ with_contacts('latest') }},

{{ held_versions_of('normalised', 'interactions', this) }},

final as (

    select
        *,
        {{ node_key('interactions', identifiers_of('interactions')) }} as node_key,
    from held

)

select * from final
