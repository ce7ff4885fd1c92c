{#
    What dbt has built goes from DuckDB's log into the warehouse before dbt ends. A log that is left behind is taken in
    when the warehouse is opened next, but DuckDB no longer knows then how many different values the columns of larger
    tables have, and plans as if nothing ever repeated.
#}
{% macro checkpoint() %}
    {{ return('checkpoint' if target.type == 'duckdb' else '') }}
{% endmacro %}
