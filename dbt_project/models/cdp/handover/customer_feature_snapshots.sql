{{ config(meta={'in_parts_of': 'int_known_customers', 'counted': 'customer_id'}) }}
{%- set cutoffs = var('feature_cutoffs') -%}
{%- set horizon = var('horizon_days') -%}
{%- set tables = {
    'int_known_orders': 'known_orders',
    'int_known_order_lines': 'known_order_lines',
    'int_customer_events': 'customer_events',
    'int_known_visits': 'known_visits',
    'int_known_messages': 'known_messages',
    'int_known_contacts': 'known_contacts',
    'int_known_consents': 'known_consents',
} -%}
{%- set groups = feature_groups() -%}
{%- set joined = tables.values() | map('replace', 'known_', '') | map('replace', 'customer_', '') | list -%}

with

known_customers as (

    select * from {{ ref('int_known_customers') }}
    where {{ in_part('customer_id') }}

),

known_orders as (

    select * from {{ ref('int_known_orders') }}
    where {{ in_part('customer_id') }}

),

known_order_lines as (

    select * from {{ ref('int_known_order_lines') }}
    where {{ in_part('customer_id') }}

),

customer_events as (

    select * from {{ ref('int_customer_events') }}
    where {{ in_part('customer_id') }}

),

known_visits as (

    select * from {{ ref('int_known_visits') }}
    where {{ in_part('customer_id') }}

),

known_messages as (

    select * from {{ ref('int_known_messages') }}
    where {{ in_part('customer_id') }}

),

known_contacts as (

    select * from {{ ref('int_known_contacts') }}
    where {{ in_part('customer_id') }}

),

known_consents as (

    select * from {{ ref('int_known_consents') }}
    where {{ in_part('customer_id') }}

),

known_attributes as (

    select * from {{ ref('int_known_attributes') }}
    where {{ in_part('customer_id') }}

),

customer_orders as (

    select * from {{ ref('int_customer_orders') }}
    where
        is_valid
        and {{ in_part('customer_id') }}

),

-- From so many customers as many can be learned as from all of them; their hash says who, so they stay the same.
learners as (

    select customer_id
    from (
        select
            customer_id,
            count(*) over () as customers,
        from {{ ref('int_known_customers') }}
        group by customer_id
    ) as everybody
    where
        {{ in_part('customer_id') }}
        and (
            customers <= {{ var('learners') }}
            or md5_number_upper(customer_id) % 1000000 < 1000000.0 * {{ var('learners') }} / customers
        )

),

eligible as (

    {% for cutoff in cutoffs -%}
    {%- set day = "date '" ~ cutoff ~ "'" -%}
    select
        known_customers.customer_id,
        {{ day }} as as_of_date,
        {{ 'true' if loop.first else 'false' }} as is_current,
        date_diff('day', min(known_customers.occurred_at), {{ day }}) as days_observed,
    from known_customers
    {{- join_learners('known_customers') if not loop.first }}
    where {{ is_known('known_customers', day, has_versions=false) | indent(8) }}
    group by known_customers.customer_id
    {%- if not loop.last %}

    union all

    {% endif %}
    {%- endfor %}

),

{%- for table, relation in tables.items() %}

{{ relation | replace('known_', '') | replace('customer_', '') }}_features as (

    {{ features_at_cutoffs(table, relation) }}

),
{%- endfor %}
{%- for group in groups %}

{{ group.name }}_features as (

    {{ group_features_at_cutoffs(group.table, group.by, group.of, tables[group.table]) }}

),
{%- endfor %}

-- What person records say differs from company to company: the attributes that most customers have.
attribute_names as (

    select attribute
    from {{ ref('int_known_attributes') }}
    group by attribute
    order by
        count(distinct customer_id) desc,
        attribute
    limit {{ var('learned_attributes') }}

),

attributes_then as (

    {% for cutoff in cutoffs -%}
    {%- set day = "date '" ~ cutoff ~ "'" -%}
    select
        known.customer_id,
        {{ day }} as as_of_date,
        known.attribute,
        arg_max(known.value, known.version_number) as value,
    from known_attributes as known
    semi join attribute_names
        on known.attribute = attribute_names.attribute
    {{- join_learners('known') if not loop.first }}
    where {{ is_known('known', day, has_versions=false) | indent(8) }}
    group by
        known.customer_id,
        known.attribute
    {%- if not loop.last %}

    union all

    {% endif %}
    {%- endfor %}

),

attribute_features as (

    select
        customer_id,
        as_of_date,
        map_from_entries(list_sort(list(
            {
                'key': if(attribute = 'born_on', 'age_years', attribute),
                'value': if(
                    attribute = 'born_on',
                    cast(date_diff('year', try_cast(value as date), as_of_date) as varchar),
                    value
                )
            }
        ))) as attributes,
    from attributes_then
    group by all

),

labels as (

    {% for cutoff in cutoffs[1:] -%}
    {%- set day = "date '" ~ cutoff ~ "'" -%}
    select
        customer_id,
        {{ day }} as as_of_date,
        sum(total_amount) as value_in_horizon,
    from customer_orders
    where
        ordered_at >= {{ end_of_day(day) }}
        and ordered_at < {{ end_of_day(day) }} + interval {{ horizon }} day
    group by customer_id
    {%- if not loop.last %}

    union all

    {% endif %}
    {%- endfor %}

),

united as (

    select
        eligible.customer_id,
        eligible.days_observed,
        {%- for feature in var('features') if not feature.is_own %}
        {{ feature_value(feature) }} as {{ feature.name }},
        {%- endfor %}
        map_from_entries(list_filter(
            [
                {%- for feature in var('features') if feature.is_own %}
                {'key': '{{ feature.name }}', 'value': cast({{ feature_value(feature) }} as double)},
                {%- endfor %}
                {'key': '', 'value': cast(null as double)}
            ],
            lambda entry: entry['value'] is not null
        )) as own_features,
        coalesce(attribute_features.attributes, map {}) as attributes,
        eligible.is_current,
        case when not eligible.is_current then labels.customer_id is not null end as bought_in_horizon,
        case
            when not eligible.is_current then cast(coalesce(labels.value_in_horizon, 0) as decimal(18, 4))
        end as value_in_horizon,
        eligible.as_of_date,
    from eligible
    {{- join_features(joined + groups | map(attribute='name') | list + ['attribute']) }}
    left join labels
        on
            eligible.customer_id = labels.customer_id
            and eligible.as_of_date = labels.as_of_date

),

final as (

    select
        * exclude (own_features, attributes, is_current, bought_in_horizon, value_in_horizon, as_of_date),
        own_features,
        attributes,
        {{ stage_by_counts('frequency_orders', 'recency_days', 'average_days_between_orders') }} as stage_then,
        is_current,
        bought_in_horizon,
        value_in_horizon,
        as_of_date,
    from united

)

select * from final
