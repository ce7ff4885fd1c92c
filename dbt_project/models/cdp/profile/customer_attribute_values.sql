{{ config(meta={'in_parts_of': 'int_customer_values', 'at_a_time': 'values_at_a_time'}) }}

with

statements as (

    select * from {{ ref('int_customer_statements') }}
    where {{ in_part('customer_id') }}

),

customer_values as (

    select * from {{ ref('int_customer_values') }}
    where {{ in_part('customer_id') }}

),

-- Most values are said once, by one source: only the others are put together.
repeated as (

    select
        statements.customer_id,
        statements.attribute,
        statements.compared_value,
        list_sort(list(distinct statements.channel)) as channels,
        list_sort(list(distinct statements.value)) as spellings,
    from statements
    inner join customer_values
        on
            statements.customer_id = customer_values.customer_id
            and statements.attribute = customer_values.attribute
            and statements.compared_value = customer_values.compared_value
    where customer_values.statements > 1
    group by all

),

final as (

    select
        customer_values.customer_id,
        customer_values.attribute,
        customer_values.value,
        case
            when customer_values.step_0 = 3 then 'blocked'
            when customer_values.preference = 1 then 'golden'
            when customer_values.step_0 = 2 then 'replaced'
            else 'alternative'
        end as standing,
        coalesce(repeated.channels, [customer_values.channel]) as channels,
        coalesce(repeated.spellings, [customer_values.value]) as spellings,
        customer_values.preference,
        customer_values.sources,
        customer_values.verification = 2 as is_verified,
        customer_values.value_first_observed_at as first_observed_at,
        customer_values.value_last_observed_at as last_observed_at,
    from customer_values
    left join repeated
        on
            customer_values.customer_id = repeated.customer_id
            and customer_values.attribute = repeated.attribute
            and customer_values.compared_value = repeated.compared_value

)

select * from final
