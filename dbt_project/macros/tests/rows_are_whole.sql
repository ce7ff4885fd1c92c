{#
    Fails with each key of the grain (`meta.grain`, where none is given) that more than one row has, and with each of
    the columns `filled` that is null somewhere; says in how many rows. One test of a model and not two, for dbt takes
    longer over a test than the engine over few rows.

    Keys are compared only where their hashes are repeated, which mostly none are: a number is grouped faster than some
    texts. Nulls are counted in one scan for all columns.
#}
{% test rows_are_whole(model, filled=[], grain=[]) %}
    {%- set of_model = namespace(grain=grain) -%}
    {%- if execute and not grain -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name == model.identifier -%}
            {%- set of_model.grain = node.config.meta.grain or [] -%}
        {%- endfor -%}
        {%- if not of_model.grain and not filled -%}
            {{ exceptions.raise_compiler_error(model.identifier ~ ' has neither a grain nor a column to be filled') }}
        {%- endif -%}
    {%- endif -%}
with

{% if filled -%}
counted as (

    select
        {%- for column in filled %}
        count(*) filter (where {{ column }} is null) as {{ column }},
        {%- endfor %}
    from {{ model }}

),

{% endif -%}
{% if of_model.grain -%}
{{ repeated_hashes_of(model, of_model.grain) }},

repeated as (

    select
        {{ of_model.grain | join(', ') }},
        count(*) as row_count,
    from {{ model }}
    semi join repeated_hashes
        on {{ hash_of(of_model.grain) }} = repeated_hashes.record_hash
    group by {{ of_model.grain | join(', ') }}
    having count(*) > 1

),

{% endif -%}
faults as (

    {%- for column in filled %}
    select
        'null' as fault,
        '{{ column }}' as found,
        {{ column }} as row_count,
    from counted
    where {{ column }} > 0
    {{- '\n\n    union all\n' if of_model.grain or not loop.last }}
    {%- endfor %}
    {%- if of_model.grain %}
    select
        'repeated' as fault,
        concat_ws(', '
        {%- for column in of_model.grain %}, cast({{ column }} as varchar){% endfor %}) as found,
        row_count,
    from repeated
    {%- endif %}

)

select *
from faults
{% endtest %}
