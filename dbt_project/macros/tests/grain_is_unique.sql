{#
    Fails with each key of `meta.grain` that more than one row has. Keys are compared only where their hashes are
    repeated, which mostly none are: a number is grouped faster than some texts.
#}
{% test grain_is_unique(model) %}
    {%- set of_model = namespace(grain=['1']) -%}
    {%- if execute -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name == model.identifier -%}
            {%- set of_model.grain = node.config.meta.grain -%}
        {%- endfor -%}
    {%- endif -%}
with

{{ repeated_hashes_of(model, of_model.grain) }}

select
    {{ of_model.grain | join(', ') }},
    count(*) as row_count,
from {{ model }}
semi join repeated_hashes
    on {{ hash_of(of_model.grain) }} = repeated_hashes.record_hash
group by {{ of_model.grain | join(', ') }}
having count(*) > 1
{% endtest %}
