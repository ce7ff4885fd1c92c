{#
    A staging table of the kind `meta.kind` that reads only what has landed since it was built, or everything when that
    would not be exact; partitions_to_read says which, for the model's query and here alike. The query gives the version
    that holds of each record that it reads of, with `is_deleted`.

    Beside the table stand three others, changed in the same transaction: `__partitions`, what was taken in and by which
    rules; `__deleted`, the records whose version says that they are deleted, against which an older one must not come
    up; and `__counts`, per channel the rows that landed and the records among them, counted by their keys before they
    are put into the table, so that the balance of rows can hold the table against them.
#}
{% materialization accumulated, default %}
    {%- set kind = config.get('meta').kind -%}
    {%- set record = ['channel'] + record_key(kind) -%}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set reading = partitions_to_read(this, kind) -%}
    {%- set deleted, counts = beside(this, 'deleted'), beside(this, 'counts') -%}
    {%- set landed_rows = landed_rows_of(kind, this) -%}
    {%- set latest, touched = this.identifier ~ '__latest', this.identifier ~ '__touched' -%}
    {%- set known = known_records_of(this) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- if reading.is_full -%}
        {%- set existing_relation = load_cached_relation(this) -%}
        {%- if existing_relation is not none and not existing_relation.is_table -%}
            {% do adapter.drop_relation(existing_relation) %}
        {%- endif -%}

        {#- Without the flag from the start: a table whose rows or columns are taken away is written twice. -#}
        {%- set deletions -%}
            select coalesce(bool_or(is_deleted), false) from {{ landed_rows }}
        {%- endset -%}
        {%- set has_deletions = run_query(deletions).rows[0][0] -%}
        {% call statement('main') -%}
            create or replace table {{ target_relation }} as
            select * exclude (is_deleted) from ({{ sql }}) as versions
            {{- ' where is_deleted is not true' if has_deletions }}
        {%- endcall %}
        {% call statement('deleted') -%}
            create or replace table {{ deleted }} as
            select * exclude (is_deleted) from ({{ sql }}) as versions
            where {{ 'is_deleted' if has_deletions else 'false' }}
        {%- endcall %}
        {% call statement('counts') -%}
            create or replace table {{ counts }} as
            {{ record_counts_of(landed_rows, kind) }}
        {%- endcall %}
    {%- elif not reading.partitions -%}
        {% call statement('main') -%}
            select 'nothing new'
        {%- endcall %}
    {%- else -%}
        {% call statement('touched') -%}
            create or replace temp table {{ touched }} as
            select
                {{ record | join(', ') }},
                count(*) as landed_rows,
            from {{ landed_rows }}
            group by {{ record | join(', ') }}
        {%- endcall %}
        {% call statement('known') -%}
            create or replace temp table {{ known }} as
            {%- for table in [target_relation, deleted] %}
            select {{ record | join(', ') }}
            from {{ table }} as staged
            semi join {{ touched }} as touched
                on {{ same('staged', 'touched', record) }}
            {{ 'union all' if not loop.last }}
            {%- endfor %}
        {%- endcall %}
        {% call statement('main') -%}
            create or replace temp table {{ latest }} as {{ sql }}
        {%- endcall %}
        {% call statement('counts') -%}
            create or replace table {{ counts }} as
            select
                channel,
                cast(sum(landed_rows) as bigint) as landed_rows,
                cast(sum(records) as bigint) as records,
            from (
                select * from {{ counts }}
                union all
                select channel, landed_rows, 0 as records from {{ touched }}
                union all
                select channel, 0 as landed_rows, 1 as records
                from {{ touched }} as touched
                anti join {{ known }} as known
                    on {{ same('touched', 'known', record) }}
            )
            group by channel
        {%- endcall %}
        {%- for table, condition in [(target_relation, 'is_deleted is not true'), (deleted, 'is_deleted')] %}
            {% call statement('replaced') -%}
                delete from {{ table }} as staged
                using {{ known }} as known
                where {{ same('staged', 'known', record) }}
            {%- endcall %}
            {% call statement('added') -%}
                insert into {{ table }} by name
                select * exclude (is_deleted) from {{ latest }} where {{ condition }}
            {%- endcall %}
        {%- endfor %}
        {%- for table in [latest, touched, known] %}
            {% call statement('dropped') -%}
                drop table {{ table }}
            {%- endcall %}
        {%- endfor %}
    {%- endif -%}

    {% call statement('partitions') -%}
        {%- if var('staging_rules') -%}
            create or replace table {{ beside(this, 'partitions') }} as {{ landed_partitions(kind) }}
        {%- else -%}
            drop table if exists {{ beside(this, 'partitions') }}
        {%- endif -%}
    {%- endcall %}

    {{ return(finish_relation(target_relation)) }}
{% endmaterialization %}
