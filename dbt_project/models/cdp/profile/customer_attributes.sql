{%- set steps = survivorship_steps() -%}

with

customer_values as (

    select * from {{ ref('int_customer_values') }}
    where step_0 < 3

),

compared as (

    select
        *,
        count(*) over (partition by customer_id, attribute) as different_values,
        lead({
            'value': value,
            'channel': channel,
            'observed_at': last_observed_at,
            {%- for step in steps %}
            'step_{{ step }}': step_{{ step }}{{ ',' if not loop.last }}
            {%- endfor %}
        }) over (partition by customer_id, attribute order by preference) as runner_up,
    from customer_values

),

final as (

    select
        customer_id,
        attribute,
        value,
        channel,
        record_id,
        {{ deciding_rule('compared', 'compared.runner_up') }} as decided_by,
        runner_up.value as runner_up_value,
        runner_up.channel as runner_up_channel,
        sources,
        different_values,
        verification = 2 as is_verified,
        last_observed_at as observed_at,
        runner_up.observed_at as runner_up_observed_at,
    from compared
    where preference = 1

)

select * from final
