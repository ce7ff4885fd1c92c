{# How a relation begins to be built: the hooks before it, and nothing of another type in its place. Returns it. #}
{% macro begin_relation(type) %}
    {%- set existing_relation = load_cached_relation(this) -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- if existing_relation is not none and existing_relation.type != type -%}
        {% do adapter.drop_relation(existing_relation) %}
    {%- endif -%}
    {{ return(this.incorporate(type=type)) }}
{% endmacro %}

{# How it ends: the hooks after it, the commit between them. Returns what a materialization has to. #}
{% macro finish_relation(relation) %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do persist_docs(relation, model) %}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [relation]}) }}
{% endmacro %}
