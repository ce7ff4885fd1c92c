with

versions as not materialized (

    select * from {{ ref('stg_customer_versions') }}

),

{{ latest_versions_of('versions', key=['record_id'], ordered_by='observed_at') }},

final as (

    select * from latest

)

select * from final
