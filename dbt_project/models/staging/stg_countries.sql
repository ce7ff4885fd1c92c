with

countries as (

    select * from {{ source('dictionaries', 'countries') }}

),

final as (

    select
        raw as country_text,
        country,
    from countries
    where country is not null

)

select * from final
