{#
    Received by then: a row of a `known` table counts on a day from `known_on` on, and no more from `gone_on` on, when
    another version of its record took its place. See docs/decisions/0012.
#}

{#
    A CTE with the day of each channel's first delivery, which brought its history. The limit, which no company reaches,
    says that channels are few: where DuckDB does not know that, it keeps all rows to look the channels up in them.
#}
{% macro channel_starts_of(relation, landed_on='first_landed_on') -%}
channel_starts as (

    select
        channel,
        min({{ landed_on }}) as started_on,
    from {{ relation }}
    group by all
    limit 10000

)
{%- endmacro %}

{#
    The day on which a row was received. What a channel's first delivery brought counts as received when it happened, or
    when its source says, but never later than it was delivered; anything later on the day of delivery.
#}
{% macro known_on(relation, happened_at, landed_on='first_landed_on') -%}
    case
        when {{ relation }}.{{ landed_on }} > channel_starts.started_on then {{ relation }}.{{ landed_on }}
        else least(cast({{ happened_at }} as date), {{ relation }}.{{ landed_on }})
    end
{%- endmacro %}

{# True when a row of a known table counts at the end of a day (an SQL date). #}
{% macro is_known(relation, day, has_versions=true) -%}
    {{ relation }}.known_on <= {{ day }}
    {%- if has_versions %}
    and ({{ relation }}.gone_on is null or {{ relation }}.gone_on > {{ day }})
    {%- endif %}
    and {{ relation }}.occurred_at < {{ end_of_day(day) }}
{%- endmacro %}

{#
    CTEs that end in `changed_versions`, for staging, which alone reads what has landed: the versions of records that
    have changed since the oldest cut-off, each with the days on which it held (`known_on`, null for a first version,
    whose row says when it happened; `gone_on`, null for the last). `staged` has the version that holds today; the
    others are read from what has landed, which few records need. A record that is deleted is gone from the past too,
    and of a snapshot only the newest is read.
#}
{% macro changed_versions_of(staged, kind, columns) -%}
{%- set record = ['channel'] + record_key(kind) -%}
{%- set snapshots = snapshot_channels(kind) | map(attribute='channel') | list -%}
changed as not materialized (

    select
        {{ record | join(', ') }},
    from {{ staged }}
    where
        landed_on > first_landed_on
        and landed_on > date '{{ var('feature_cutoffs') | last }}'
        {%- if snapshots %}
        and channel not in ('{{ snapshots | join("', '") }}')
        {%- endif %}

),

landed_versions as (

    select
        {{ (record + columns) | join(', ') }},
        source_file,
        source_row,
        date as landed_on,
        coalesce(is_deleted, false) as is_deleted,
    from {{ source('landing', kind) }} as landed
    semi join changed
        on
            {{ same('landed', 'changed', record) }}
    where date <= {{ as_of_date() }}

),

ranked_versions as (

    select
        *,
        row_number() over (
            partition by {{ record | join(', ') }}
            order by
                {{ latest_first(kind) | indent(12) }}
        ) as place,
    from landed_versions

),

daily_versions as (

    select *
    from ranked_versions
    qualify row_number() over (partition by {{ record | join(', ') }}, landed_on order by place) = 1

),

-- A version that came later but is older than what was known then never held.
holding_versions as (

    select *
    from daily_versions
    qualify coalesce(
        place < min(place) over (
            partition by {{ record | join(', ') }}
            order by landed_on
            rows between unbounded preceding and 1 preceding
        ),
        true
    )

),

changed_versions as (

    select
        *,
        case when row_number() over in_time > 1 then landed_on end as known_on,
        lead(landed_on) over in_time as gone_on,
    from holding_versions
    window in_time as (partition by {{ record | join(', ') }} order by landed_on)

)
{%- endmacro %}
