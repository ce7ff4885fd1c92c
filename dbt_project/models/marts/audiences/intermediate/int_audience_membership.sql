-- Everybody's answers are columns of two tables, and each condition reads only those that it names. A condition that is
-- null for a member does not hold.

{%- set cdp_audiences = var('audiences') | selectattr('side', 'equalto', 'cdp') | list %}
{%- set dmp_audiences = var('audiences') | selectattr('side', 'equalto', 'dmp') | list %}

with

customers as not materialized (

    select * from {{ ref('int_audience_base') }}

),

visitors as not materialized (

    select * from {{ ref('int_audience_answers') }}

),

customer_matches as (

    {{ matches_of(cdp_audiences, 'customers', 'customer_id') | indent(4) }}

),

visitor_matches as (

    {{ matches_of(dmp_audiences, 'visitors', 'visitor_id') | indent(4) }}

),

final as (

    select
        audience_id,
        'cdp' as side,
        member_id,
    from customer_matches

    union all

    select
        audience_id,
        'dmp' as side,
        member_id,
    from visitor_matches

)

select * from final
