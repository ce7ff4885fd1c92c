-- All conditions of one side in one scan. A condition that is null for a member does not hold.

{%- set cdp_audiences = var('audiences') | selectattr('side', 'equalto', 'cdp') | list %}
{%- set dmp_audiences = var('audiences') | selectattr('side', 'equalto', 'dmp') | list %}

with

customers as (

    select * from {{ ref('int_audience_base') }}

),

visitors as (

    select * from {{ ref('int_audience_atoms') }}

),

customer_matches as (

    select
        unnest({{ matching_rules(cdp_audiences, 'audience_id') }}) as audience_id,
        'cdp' as side,
        customer_id as member_id,
    from customers

),

visitor_matches as (

    select
        unnest({{ matching_rules(dmp_audiences, 'audience_id') }}) as audience_id,
        'dmp' as side,
        visitor_id as member_id,
    from visitors

),

final as (

    select * from customer_matches

    union all

    select * from visitor_matches

)

select * from final
