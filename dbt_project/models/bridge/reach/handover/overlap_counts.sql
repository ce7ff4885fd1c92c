with

sketches as (

    select * from {{ ref('int_reach_sketches') }}

),

final as (

    {{ overlaps_of('sketches') | indent(4) }}

)

select * from final
