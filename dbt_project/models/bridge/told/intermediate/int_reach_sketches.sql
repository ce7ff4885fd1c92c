with

members as (

    select * from {{ ref('int_reach_members') }}

),

final as (

    {{ sketches_of('members', var('sketch_size')) | indent(4) }}

)

select * from final
