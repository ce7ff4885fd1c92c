{# What names a record of a kind within its channel. #}
{% macro record_key(kind) %}
    {{ return({
        'customers': ['record_id'],
        'events': ['event_id'],
        'orders': ['order_id'],
        'order_lines': ['order_id', 'line_number'],
        'products': ['product_id'],
        'interactions': ['interaction_id'],
        'messages': ['message_id', 'action', 'occurred_at'],
        'traits': ['id_type', 'id_value', 'trait', 'provider'],
        'consents': ['id_type', 'id_value', 'purpose', 'effective_at'],
    }[kind]) }}
{% endmacro %}

{#
    The order of a record's versions, the one that holds first: the latest by the record's own time, if its kind has
    one, then the one delivered last, by day, file and row. It is total, so the same rows give the same choice in
    whatever order they load. See docs/decisions/0006.

    A deletion of an order that names no time of its own was made on the day it was delivered.
    Of two statements of consent in one file on one purpose, of one identifier and moment, the refusal holds, and what
    is unknown before a grant: which of the rows comes last says nothing. A file that is delivered later may still
    correct it.
    An event is said once and never changes: the first received holds, and of one receipt the row with properties
    (Segment's warehouse has each event twice, in `tracks` without them); a repeat that a tracker sends later, or the
    same row delivered late, cannot undo that it was withdrawn.
#}
{% macro latest_first(kind) -%}
    {%- if kind == 'events' -%}
        coalesce(is_deleted, false) desc,
        received_at asc nulls last,
        coalesce(properties, '{}') <> '{}' desc,
    {%- elif kind == 'orders' -%}
        coalesce(
            updated_at,
            case when is_deleted then cast(landed_on + 1 as timestamp) end,
            ordered_at
        ) desc nulls last,
    {%- elif kind in ('customers', 'traits') -%}
        observed_at desc nulls last,
    {%- elif kind == 'interactions' -%}
        occurred_at desc nulls last,
    {%- endif %}
        landed_on desc,
        source_file desc,
    {%- if kind == 'consents' %}
        case status when 'denied' then 0 when 'unknown' then 1 else 2 end asc,
    {%- endif %}
        source_row desc
{%- endmacro %}

{#
    CTEs that end in `latest`: the version of each record of a relation that holds, with the day its first version came
    (ids derived from that day stay when a correction arrives). A record whose version says that it is deleted, or that
    the newest snapshot of its channel does not have, is not there.

    Few records come twice, so only those are compared: first the hashes of the keys are counted, which needs a fraction
    of the memory of the keys. The relation is read four times, and mostly two columns of it; a CTE should be `not
    materialized`. `rows` is a subquery that stands for it in the first three: DuckDB forgets how many rows a CTE over
    Parquet files has that it reads more than once, and takes it for the small side of a join, to keep in memory with
    all its columns. `with_deleted` leaves the versions that say so, and `is_deleted`.
#}
{% macro latest_versions_of(relation, kind, with_deleted=false, rows=none) -%}
{%- set rows = rows or relation -%}
{%- set record = ['channel'] + record_key(kind) -%}
{%- set row = record + ['landed_on', 'source_file', 'source_row'] -%}
{{ outdated_deliveries_of(kind) }}
{{ repeated_hashes_of(rows, record) }},

repeated as (

    select
        {{ record | join(', ') }},
        min(landed_on) as first_landed_on,
    from {{ rows }}{{ ' as ' ~ relation if rows != relation }}
    semi join repeated_hashes
        on {{ hash_of(record) }} = repeated_hashes.record_hash
    group by all
    having count(*) > 1

),

superseded as (

    select
        {%- for column in row %}
        {{ relation }}.{{ column }},
        {%- endfor %}
    from {{ rows }}{{ ' as ' ~ relation if rows != relation }}
    semi join repeated
        on
            {{ same(relation, 'repeated', record) }}
    {{- without_outdated(relation, kind) }}
    qualify
        row_number() over (
            partition by {{ relation }}.{{ record | join(', ' ~ relation ~ '.') }}
            order by
                {{ latest_first(kind) | indent(8) }}
        ) > 1

),

latest as (

    select
        {{ relation }}.*{{ ' exclude (is_deleted)' if not with_deleted }},
        coalesce(repeated.first_landed_on, {{ relation }}.landed_on) as first_landed_on,
    from {{ relation }}
    left join repeated
        on
            {{ same(relation, 'repeated', record) }}
    anti join superseded
        on
            {{ same(relation, 'superseded', row) }}
    {{- without_outdated(relation, kind) }}
    {%- if not with_deleted %}
    where not coalesce({{ relation }}.is_deleted, false)
    {%- endif %}

)
{%- endmacro %}

{# A CTE with the hashes of keys that more than one row of a relation has, or of other keys with the same hash. #}
{% macro repeated_hashes_of(relation, key) -%}
repeated_hashes as (

    select {{ hash_of(key) }} as record_hash
    from {{ relation }}
    group by record_hash
    having count(*) > 1

)
{%- endmacro %}

{# A number of 64 bits for the values of some columns, nulls too. #}
{% macro hash_of(columns) -%}
    hash({{ columns | join(', ') }})
{%- endmacro %}

{#
    Per channel the rows of a relation and the records among them, counted by their keys; only rows whose keys have a
    repeated hash are compared.
#}
{% macro record_counts_of(relation, kind) -%}
{%- set record = ['channel'] + record_key(kind) -%}
select
    counted.channel,
    counted.landed_rows,
    cast(counted.landed_rows - coalesce(repetitions.superseded_rows, 0) as bigint) as records,
from (
    select
        channel,
        count(*) as landed_rows,
    from {{ relation }}
    group by channel
) as counted
left join (
    select
        channel,
        sum(landed_rows - 1) as superseded_rows,
    from (
        with

        {{ repeated_hashes_of(relation, record) }}

        select
            {{ record | join(', ') }},
            count(*) as landed_rows,
        from {{ relation }}
        semi join repeated_hashes
            on {{ hash_of(record) }} = repeated_hashes.record_hash
        group by all
    ) as counted_records
    group by channel
) as repetitions
    on counted.channel = repetitions.channel
{%- endmacro %}

{#
    CTEs that end in `deleted_<kind>`: the records of a relation that are gone. Only those with a deletion among their
    versions are compared.
#}
{% macro deleted_records_of(relation, kind) -%}
{%- set record = ['channel'] + record_key(kind) -%}
{{ outdated_deliveries_of(kind, name='outdated_' ~ kind) }}
marked_{{ kind }} as (

    select distinct
        {{ record | join(',\n        ') }},
    from {{ relation }}
    where is_deleted

),

deleted_{{ kind }} as (

    select
        {{ record | join(',\n        ') }},
    from (
        select {{ relation }}.*
        from {{ relation }}
        semi join marked_{{ kind }}
            on
                {{ same(relation, 'marked_' ~ kind, record) | indent(4) }}
        {{- without_outdated(relation, kind, name='outdated_' ~ kind) | indent(4) }}
        qualify
            row_number() over (
                partition by {{ relation }}.{{ record | join(', ' ~ relation ~ '.') }}
                order by
                    {{ latest_first(kind) | indent(12) }}
            ) = 1
    ) as last_versions
    where is_deleted
    {%- if snapshot_channels(kind) %}

    union all

    select
        {{ relation }}.{{ record | join(',\n        ' ~ relation ~ '.') }},
    from {{ relation }}
    left join outdated_{{ kind }}
        on
            {{ same(relation, 'outdated_' ~ kind, ['channel', 'landed_on', 'source_file']) }}
    group by all
    having bool_and(outdated_{{ kind }}.channel is not null)
    {%- endif %}

)
{%- endmacro %}

{# The channels of a kind whose newest delivery is all there is. #}
{% macro snapshot_channels(kind) %}
    {{ return(
        var('channels') | selectattr('kind', 'equalto', kind) | selectattr('delivery', 'equalto', 'snapshot') | list
    ) }}
{% endmacro %}

{#
    A CTE with the files of snapshots that a newer one has replaced; nothing when no channel delivers snapshots. The
    files of one day are one snapshot. Files without a date in their path are each replaced by themselves, so there the
    newest content of every file is. A snapshot without rows has its receipts, so it replaces the one before as well.
#}
{% macro outdated_deliveries_of(kind, name='outdated') -%}
{%- set channels = snapshot_channels(kind) -%}
{%- if channels -%}
{%- set undated = channels | rejectattr('is_dated') | map(attribute='channel') | list -%}
{{ name }} as (

    select
        channel,
        source_file,
        date as landed_on,
    from {{ source('extract', 'receipts') }}
    where
        kind = '{{ kind }}'
        and channel in ('{{ channels | map(attribute='channel') | join("', '") }}')
        and date <= {{ as_of_date() }}
    qualify
        date < max(date) over (
            partition by channel, case when channel in ('{{ undated | join("', '") }}') then source_file end
        )

),

{% endif -%}
{%- endmacro %}

{# The join that leaves out the rows of replaced snapshots. #}
{% macro without_outdated(relation, kind, name='outdated') -%}
    {%- if snapshot_channels(kind) %}
    anti join {{ name }}
        on
            {{ same(relation, name, ['channel', 'landed_on', 'source_file']) }}
    {%- endif %}
{%- endmacro %}

{# A join condition on equal columns, where null equals null. #}
{% macro same(relation, other, columns) -%}
    {%- for column in columns -%}
    {{ 'and ' if not loop.first }}{{ relation }}.{{ column }} is not distinct from {{ other }}.{{ column }}
    {{- '\n            ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{#
    The identity node of a row: rows of a channel that carry the same identifiers are one node, rows without any are
    none (null). `ids` are normalised columns.
#}
{% macro node_key(kind, ids) -%}
    '{{ kind }}:' || channel || ':' || md5(nullif(concat_ws(
        '|',
        {%- for id in ids %}
        '{{ id }}:' || {{ id }}{{ ',' if not loop.last }}
        {%- endfor %}
    ), ''))
{%- endmacro %}

{#
    True when an order still counts: those that were cancelled, refunded or never paid stay visible but have no value.
    WooCommerce's tables begin each status with `wc-`.
#}
{% macro is_valid_order(status) -%}
    coalesce(regexp_replace(lower(trim({{ status }})), '^wc-', ''), '') not in (
        'cancelled', 'canceled', 'refunded', 'refund', 'returned', 'return', 'failed', 'void', 'voided', 'declined',
        'rejected', 'chargeback', 'charged_back', 'reversed'
    )
{%- endmacro %}

{# True when a contact ended without what the customer wanted, in the usual words; no outcome says nothing. #}
{% macro is_unresolved(outcome) -%}
    coalesce(
        regexp_matches(lower({{ outcome }}), 'unresolved|unsolved|not (re)?solved|\bopen\b|pending|escalated|failed'),
        false
    )
{%- endmacro %}

{# Whether an order was placed in a store. #}
{% macro is_store_order(orders) -%}
    coalesce(
        lower(trim({{ orders }}.sales_channel)) in (
            'store', 'shop', 'pos', 'branch', 'offline', 'in_store', 'in-store'
        ),
        {{ orders }}.store_id is not null
    )
{%- endmacro %}

{# An address without query and fragment, which may hold names, e-mail addresses or tokens. #}
{% macro bare_url(url) -%}
    split_part(split_part({{ url }}, '?', 1), '#', 1)
{%- endmacro %}

{#
    True when records of a kind are read off ecommerce events: there are channels, and none delivers the kind itself.
    Both would count an order twice.
#}
{% macro is_read_off_events(kind) %}
    {%- set kinds = var('channels') | map(attribute='kind') | list -%}
    {{ return(kinds | length > 0 and kind not in kinds) }}
{% endmacro %}

{# The first of some keys of a JSON object that holds a text or a number, as text. #}
{% macro first_json_text(object, keys) -%}
    coalesce(
        {%- for key in keys %}
        nullif(trim(json_extract_string({{ object }}, '$.{{ key }}')), ''){{ ',' if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}

{# The first of some keys of a JSON object, as an amount; what is no number is none. #}
{% macro first_json_amount(object, keys) -%}
    try_cast({{ first_json_text(object, keys) }} as decimal(18, 4))
{%- endmacro %}

{#
    CTEs that end in `judged_orders`: what the reports of a relation make of each order, or of whatever `keys` say. The
    event that completed the order says where and by whom; what was ordered is as the last event describes it, and what
    became of it as the last event that tells.
#}
{% macro orders_of_events(relation, keys) -%}
summed_orders as (

    select
        {{ keys | join(',\n        ') }},
        coalesce(
            arg_min(node_key, report_number) filter (where report = 'completed' and node_key is not null),
            arg_min(node_key, report_number) filter (where node_key is not null)
        ) as node_key,
        coalesce(
            arg_min(channel, report_number) filter (where report = 'completed'),
            arg_min(channel, report_number)
        ) as channel,
        coalesce(
            arg_min(party, report_number) filter (where report = 'completed'),
            arg_min(party, report_number)
        ) as party,
        {%- for column in ['currency', 'coupon', 'total', 'discount', 'shipping', 'tax'] %}
        arg_max({{ column }}, report_number) filter (where is_content and {{ column }} is not null) as {{ column }},
        {%- endfor %}
        arg_max(
            {'report': report, 'status': status, 'total': total, 'has_items': array_length(items) > 0}, report_number
        ) filter (where report <> 'updated' or status is not null) as outcome,
        bool_or(is_content) as has_content,
        arg_max(source_file, report_number) as source_file,
        arg_max(source_row, report_number) as source_row,
        coalesce(min(occurred_at) filter (where report = 'completed'), min(occurred_at)) as ordered_at,
        max(occurred_at) as updated_at,
        max(landed_on) as landed_on,
        min(first_landed_on) as first_landed_on,
    from {{ relation }}
    group by {{ keys | join(', ') }}

),

-- A refund that names products and is not of all the money leaves the order valid.
judged_orders as (

    select
        *,
        case
            when outcome.report <> 'refunded' then coalesce(outcome.status, outcome.report)
            when has_content and outcome.has_items and coalesce(outcome.total < total, true) then 'partially_refunded'
            else 'refunded'
        end as status,
    from summed_orders

)
{%- endmacro %}
