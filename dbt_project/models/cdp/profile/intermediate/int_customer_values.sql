{%- set steps = survivorship_steps() -%}

with

statements as (

    select * from {{ ref('int_customer_statements') }}

),

-- Step 0 comes before all rules: what a source says today, then what the company only wrote to, then what its source
-- replaced, and last what is blocked.
weighed as (

    select
        *,
        case
            when not is_active then 3
            when not is_current then 2
            when kind = 'messages' then 1
            else 0
        end as step_0,
        {%- for step in steps[1:] %}
        {{ survivorship_weight(step) }} as step_{{ step }},
        {%- endfor %}
    from statements

),

placed as (

    select
        *,
        count(*) over of_value as statements,
        count(*) filter (where step_0 < 2) over of_value as sources,
        min(first_observed_at) over of_value as value_first_observed_at,
        max(last_observed_at) over of_value as value_last_observed_at,
        row_number() over (
            partition by customer_id, attribute, compared_value
            order by
                {%- for step in steps %}
                step_{{ step }},
                {%- endfor %}
                channel,
                kind,
                record_id,
                value
        ) as place_in_value,
    from weighed
    window of_value as (partition by customer_id, attribute, compared_value)

),

-- The best statement stands for its value; how many sources say it is known only now.
values_of_customers as (

    select
        * replace (
            {%- for step in steps[1:] %}
            {{ survivorship_weight(step, 'sources') }} as step_{{ step }}{{ ',' if not loop.last }}
            {%- endfor %}
        ),
    from placed
    where place_in_value = 1

),

final as (

    select
        * exclude (is_active, is_current, completeness, first_observed_at, place_in_value),
        row_number() over (
            partition by customer_id, attribute
            order by
                {%- for step in steps %}
                step_{{ step }},
                {%- endfor %}
                channel,
                kind,
                record_id,
                value
        ) as preference,
    from values_of_customers

)

select * from final
