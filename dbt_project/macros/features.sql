{# Sums are of decimals, which add up to the same in any order. #}
{% macro exact(value) -%}
    try_cast({{ value }} as decimal(28, 4))
{%- endmacro %}

{# Whether the rows of a table can lose their place to other versions of their records. #}
{% macro has_versions(table) %}
    {{ return(table in ['int_known_orders', 'int_known_order_lines', 'int_known_contacts', 'int_known_consents']) }}
{% endmacro %}

{# The rows of a feature as a filter clause; `days` are those before the end of the day. #}
{% macro feature_filter(feature, day, days=none, where=none) -%}
    {%- set conditions = [feature.within, where] | select | list -%}
    {%- if days -%}
        {%- do conditions.append('known.occurred_at >= ' ~ end_of_day(day) ~ ' - interval ' ~ days ~ ' day') -%}
    {%- endif -%}
    {%- if conditions %} filter (where {{ conditions | join(' and ') }}){% endif -%}
{%- endmacro %}

{# How far apart the days with rows are, as a sorted list. #}
{% macro gaps_of(filter) -%}
    {%- set days = 'list_sort(list(distinct cast(known.occurred_at as date))' ~ filter ~ ')' -%}
    list_transform(
        list_zip({{ days }}[:-2], {{ days }}[2:]),
        lambda pair: cast(date_diff('day', pair[1], pair[2]) as double)
    )
{%- endmacro %}

{# The aggregate of a feature over the rows `known` of a customer as of a day (an SQL date). #}
{% macro feature_aggregate(feature, day) -%}
{%- set filter = feature_filter(feature, day, feature.days, feature.where) -%}
{%- set measure = feature.measure -%}
{%- if measure == 'count' -%}
    count(*){{ filter }}
{%- elif measure == 'distinct' -%}
    count(distinct {{ feature.of }}){{ filter }}
{%- elif measure == 'sum' -%}
    sum({{ exact(feature.of) }}){{ filter }}
{%- elif measure == 'mean' -%}
    cast(sum({{ exact(feature.of) }}){{ filter }} as double) / nullif(count({{ exact(feature.of) }}){{ filter }}, 0)
{%- elif measure in ('median', 'min', 'max') -%}
    {{ measure }}({{ feature.of }}){{ filter }}
{%- elif measure == 'share' -%}
    {%- set whole = feature_filter(feature, day, feature.days) -%}
    {%- if feature.of -%}
    cast(coalesce(sum({{ exact(feature.of) }}){{ filter }}, 0) as double)
    / nullif(cast(sum({{ exact(feature.of) }}){{ whole }} as double), 0)
    {%- else -%}
    cast(count(*){{ filter }} as double) / nullif(count(*){{ whole }}, 0)
    {%- endif -%}
{%- elif measure == 'ratio' -%}
    cast(sum({{ exact(feature.of) }}){{ filter }} as double)
    / nullif(cast(sum({{ exact(feature.per) }}){{ filter }} as double), 0)
{%- elif measure == 'change' -%}
    {%- set both = feature_filter(feature, day, 2 * feature.days, feature.where) -%}
    {%- set added = 'sum(' ~ exact(feature.of) ~ ')' if feature.of else 'count(*)' -%}
    cast(coalesce({{ added }}{{ filter }}, 0) as double) / nullif(cast({{ added }}{{ both }} as double), 0)
{%- elif measure == 'days_since_last' -%}
    date_diff('day', max(known.occurred_at){{ filter }}, {{ day }})
{%- elif measure == 'days_since_first' -%}
    date_diff('day', min(known.occurred_at){{ filter }}, {{ day }})
{%- elif measure == 'gap_mean' -%}
    cast(date_diff('day', min(known.occurred_at){{ filter }}, max(known.occurred_at){{ filter }}) as double)
    / nullif(count(*){{ filter }} - 1, 0)
{%- elif measure == 'gap_median' -%}
    list_median({{ gaps_of(filter) }})
{%- elif measure == 'gap_spread' -%}
    list_stddev_samp({{ gaps_of(filter) }})
{%- elif measure == 'days_overdue' -%}
    date_diff('day', max(known.occurred_at){{ filter }}, {{ day }}) - list_median({{ gaps_of(filter) }})
{%- elif measure == 'most_frequent' -%}
    {%- set counted = 'histogram(' ~ feature.of ~ ')' ~ filter -%}
    list_min(list_transform(
        list_filter(
            map_entries({{ counted }}),
            lambda entry: entry.value = list_max(map_values({{ counted }}))
        ),
        lambda entry: entry.key
    ))
{%- endif -%}
{%- endmacro %}

{#
    A number over the groups `by` of a customer's rows, each with its `weight` and when it `began_at`. Here and
    elsewhere lists are sorted when they are whole: an aggregate with an order takes five times as long.
#}
{% macro feature_of_groups(feature, day) -%}
{%- set sorted = "list_sort(list({'weight': -weight, 'part': part}))" -%}
{%- set ordered = 'list_transform(' ~ sorted ~ ', lambda entry: entry.part)' -%}
{%- if feature.measure == 'top' -%}
    {{ ordered }}[1]
{%- elif feature.measure == 'top_five' -%}
    {{ ordered }}[1:5]
{%- elif feature.measure == 'top_share' -%}
    case when sum(weight) > 0 then cast(max(weight) as double) / cast(sum(weight) as double) end
{%- elif feature.measure == 'new' -%}
    count(*) filter (where began_at >= {{ end_of_day(day) }} - interval {{ feature.days }} day)
{%- endif -%}
{%- endmacro %}

{# The oldest row that the features of a table ask for, in days; none when one of them asks for all. #}
{% macro longest_window(features) -%}
    {%- set longest = namespace(days=0) -%}
    {%- for feature in features -%}
        {%- set days = feature.days * (2 if feature.measure == 'change' else 1) if feature.days else none -%}
        {%- if longest.days is not none -%}
            {%- set longest.days = [longest.days, days] | max if days else none -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(longest.days) }}
{%- endmacro %}

{#
    The features of one table of rows as of each cut-off, one row per customer and cut-off: a scan of the table for
    each, whose constants let it skip what is too old, rather than rows times cut-offs. Those before today are of
    `learners`.
#}
{% macro features_at_cutoffs(table, relation) -%}
{%- set features = var('features') | selectattr('table', 'equalto', table) | list -%}
{%- set simple = features | rejectattr('by') | list -%}
{%- set window = longest_window(simple) -%}
{%- for cutoff in var('feature_cutoffs') -%}
    {%- set day = "date '" ~ cutoff ~ "'" -%}
    select
        known.customer_id,
        {{ day }} as as_of_date,
        {%- for feature in simple %}
        {{ feature_aggregate(feature, day) | indent(8) }} as {{ feature.name }},
        {%- endfor %}
    from {{ relation }} as known
    {{- join_learners('known') if not loop.first }}
    where
        {{ is_known('known', day, has_versions(table)) | indent(4) }}
        {%- if window %}
        and known.occurred_at >= {{ end_of_day(day) }} - interval {{ window }} day
        {%- endif %}
    group by known.customer_id
    {%- if not loop.last %}

    union all

    {% endif -%}
{%- endfor -%}
{%- endmacro %}

{# The features over groups (`by`) of one table of rows as of each cut-off. #}
{% macro group_features_at_cutoffs(table, by, of, relation) -%}
{%- set features = group_features(table, by, of) -%}
{%- for cutoff in var('feature_cutoffs') -%}
    {%- set day = "date '" ~ cutoff ~ "'" -%}
    select
        customer_id,
        {{ day }} as as_of_date,
        {%- for feature in features %}
        {{ feature_of_groups(feature, day) }} as {{ feature.name }},
        {%- endfor %}
    from (
        select
            known.customer_id,
            {{ by }} as part,
            sum({{ exact(of) }}) as weight,
            min(known.occurred_at) as began_at,
        from {{ relation }} as known
        {{- join_learners('known') if not loop.first }}
        where
            {{ is_known('known', day, has_versions(table)) | indent(8) }}
            and {{ by }} is not null
            {%- if features[0].within %}
            and {{ features[0].within }}
            {%- endif %}
        group by all
    ) as parts
    group by customer_id
    {%- if not loop.last %}

    union all

    {% endif -%}
{%- endfor -%}
{%- endmacro %}

{% macro group_features(table, by, of) %}
    {{ return(
        var('features') | selectattr('table', 'equalto', table) | selectattr('by', 'equalto', by)
        | selectattr('of', 'equalto', of) | list
    ) }}
{% endmacro %}

{# The different groups of features with `by`: a list of (table, by, of, name of their CTE). #}
{% macro feature_groups() %}
    {%- set found, keys = [], [] -%}
    {%- for feature in var('features') | selectattr('by') -%}
        {%- set key = [feature.table, feature.by, feature.of, feature.within] -%}
        {%- if key not in keys -%}
            {%- do keys.append(key) -%}
            {%- do found.append({
                'table': feature.table, 'by': feature.by, 'of': feature.of, 'name': 'groups_' ~ (found | length + 1)
            }) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}

{# A feature with what stands for no row, as its type. #}
{% macro feature_value(feature) -%}
    {%- set missing = '[]' if feature.measure == 'top_five' else feature.missing -%}
    {%- set value = feature.name if missing is none else 'coalesce(' ~ feature.name ~ ', ' ~ missing ~ ')' -%}
    cast({{ value }} as {{ feature.type }})
{%- endmacro %}

{# Leaves those customers whose past is learned from. #}
{% macro join_learners(relation) %}
    semi join learners
        on {{ relation }}.customer_id = learners.customer_id
{%- endmacro %}

{# Puts the features of each of these CTEs beside the eligible customers. #}
{% macro join_features(names) %}
    {%- for name in names %}
    left join {{ name }}_features
        on
            eligible.customer_id = {{ name }}_features.customer_id
            and eligible.as_of_date = {{ name }}_features.as_of_date
    {%- endfor %}
{%- endmacro %}
