with

versions as not materialized (

    select
        *,
        false as is_deleted,
    from {{ ref('stg_customer_versions') }}

),

{{ latest_versions_of('versions', 'customers') }},

final as (

    select * from latest

)

select * from final
