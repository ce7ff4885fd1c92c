{# A table beside an accumulated model: `partitions`, `deleted` or `counts`, see the materialization. #}
{% macro beside(relation, name) %}
    {{ return(relation.incorporate(path={'identifier': relation.identifier ~ '__' ~ name}, type='table')) }}
{% endmacro %}

{# What has landed of a kind up to the business day, one row per channel and day, with a hash of all that it says. #}
{% macro landed_partitions(kind) -%}
    select
        channel,
        date as landed_on,
        md5(
            string_agg(concat_ws('|', source_file, file_hash, spec_hash, landed), chr(10) order by source_file)
        ) as fingerprint,
        '{{ var("staging_rules") }}' as rules,
    from {{ source('extract', 'receipts') }}
    where
        kind = '{{ kind }}'
        and date <= {{ as_of_date() }}
    group by all
{%- endmacro %}

{#
    What an accumulated model has to read: `is_full`, or only the `partitions` (channel and day) that have landed since
    it was built, be they late or not. Anything but new partitions makes it full: one that has changed or is gone (an
    earlier business day does not know the later ones), other rules, or a snapshot, where a new one removes rows. On
    Spark a table is files that are never changed, so it is always full.
#}
{% macro partitions_to_read(relation, kind) %}
    {%- set partitions = landed_partitions(kind) -%}
    {%- set everything = {'is_full': true, 'partitions': []} -%}
    {%- if not execute or not var('staging_rules') or snapshot_channels(kind) or target.type == 'spark' -%}
        {{ return(everything) }}
    {%- endif -%}
    {%- if load_relation(relation) is none or load_relation(beside(relation, 'partitions')) is none -%}
        {{ return(everything) }}
    {%- endif -%}
    {%- set query -%}
        with

        landed as (

            {{ partitions }}

        )

        select
            landed.channel,
            cast(landed.landed_on as varchar) as landed_on,
            known.channel is null as is_new,
        from landed
        full join {{ beside(relation, 'partitions') }} as known
            on
                landed.channel = known.channel
                and landed.landed_on = known.landed_on
        where
            landed.fingerprint is distinct from known.fingerprint
            or landed.rules is distinct from known.rules
        order by
            landed.channel,
            landed.landed_on
    {%- endset -%}
    {%- set different = run_query(query).rows -%}
    {%- if different | rejectattr('is_new') | list -%}
        {{ return(everything) }}
    {%- endif -%}
    {{ return({'is_full': false, 'partitions': different | list}) }}
{% endmacro %}

{# The landed rows of a kind that an accumulated model has to read; when nothing is new, those of an empty file. #}
{% macro landed(kind, relation) -%}
    {%- set reading = partitions_to_read(relation, kind) -%}
    {%- if reading.is_full -%}
        {{ source('landing', kind) }}
    {%- else -%}
        {%- set folder = var('lake') ~ '/landing/' ~ kind -%}
        read_parquet(
            [
                {%- for partition in reading.partitions %}
                '{{ folder }}/channel={{ partition.channel }}/date={{ partition.landed_on }}/*.parquet',
                {%- else %}
                '{{ folder }}/channel=none/*/*.parquet',
                {%- endfor %}
            ],
            hive_partitioning = true, hive_types = {'channel': varchar, 'date': date}
        )
    {%- endif -%}
{%- endmacro %}

{# A subquery of the landed rows of a kind that an accumulated model has to read, up to the business day. #}
{% macro landed_rows_of(kind, relation) -%}
    (select *, date as landed_on from {{ landed(kind, relation) }} where date <= {{ as_of_date() }})
{%- endmacro %}

{# The temporary table of the records that were read and are staged already, or known as deleted. #}
{% macro known_records_of(relation) %}
    {{ return(relation.identifier ~ '__known') }}
{% endmacro %}

{#
    A CTE `held`, for an accumulated model: the version that holds of each record of the relation, deletions too. The
    relation has one version of each record that was read; when those are of new rows only, they are compared with what
    is staged of the same records. That is exact because the order of versions is total: the best of the bests of two
    parts is the best of all. Which records these are, the materialization has found by their keys alone: a join of
    whole rows that does not fit in memory writes all that is staged to the disk.
#}
{% macro held_versions_of(relation, kind, staged) -%}
{%- set record = ['channel'] + record_key(kind) -%}
{%- if partitions_to_read(staged, kind).is_full -%}
held as not materialized (

    select * from {{ relation }}

)
{%- else -%}
candidates as (

    select * from {{ relation }}
    {%- for table, is_deleted in [(staged, 'false'), (beside(staged, 'deleted'), 'true')] %}

    union all by name

    select
        known.*{{ ' exclude (node_key)' if has_nodes(kind) }},
        {{ is_deleted }} as is_deleted,
    from {{ table }} as known
    semi join {{ known_records_of(staged) }} as again
        on
            {{ same('known', 'again', record) }}
    {%- endfor %}

),

held as (

    select * replace (min(first_landed_on) over (partition by {{ record | join(', ') }}) as first_landed_on)
    from candidates
    qualify
        row_number() over (
            partition by {{ record | join(', ') }}
            order by
                {{ latest_first(kind) | indent(8) }}
        ) = 1

)
{%- endif -%}
{%- endmacro %}

{# Whether the rows of a kind are nodes of the identity graph. #}
{% macro has_nodes(kind) %}
    {{ return(kind in ['events', 'orders', 'interactions', 'messages']) }}
{% endmacro %}
