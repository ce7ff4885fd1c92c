{# Fails with each of the columns that is null somewhere, and in how many rows. One scan for all of them. #}
{% test is_filled(model, columns) %}
with

counted as (

    select
        {%- for column in columns %}
        count(*) filter (where {{ column }} is null) as {{ column }},
        {%- endfor %}
    from {{ model }}

),

unpivoted as (

    {%- for column in columns %}
    select
        '{{ column }}' as column_name,
        {{ column }} as null_rows,
    from counted
    {{- '\n\n    union all\n' if not loop.last }}
    {%- endfor %}

)

select *
from unpivoted
where null_rows > 0
{% endtest %}
