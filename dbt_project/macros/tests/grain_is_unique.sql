{# Fails with each key of `meta.grain` that more than one row has. #}
{% test grain_is_unique(model) %}
    {%- set of_model = namespace(grain=['1']) -%}
    {%- if execute -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name == model.identifier -%}
            {%- set of_model.grain = node.config.meta.grain -%}
        {%- endfor -%}
    {%- endif -%}
select
    {{ of_model.grain | join(', ') }},
    count(*) as row_count,
from {{ model }}
group by {{ of_model.grain | join(', ') }}
having count(*) > 1
{% endtest %}
