-- What members said of the vendors of the IAB's Transparency and Consent Framework that destinations are. The latest
-- consent of a device counts if it is a TCF string; of a customer that of the device that said it last. Without such a
-- vendor among the destinations nothing is read.
{%- set vendors = var('tcf_vendors', []) %}

with

members as (

    select * from {{ ref('int_sent_members') }}

),

events as (

    select * from {{ ref('stg_events') }}

),

customer_links as (

    select * from {{ ref('int_customer_links') }}

),

statements as (

    select
        unnest([
            {%- for id_type in visitor_id_types() %}
            {'id_type': '{{ id_type }}', 'id_value': {{ usable_visitor_identifier(id_type) }}},
            {%- endfor %}
        ]) as identifier,
        {{ tcf_string('consent') }} as tcf_string,
        occurred_at as stated_at,
    from events
    where
        {{ 'true' if vendors else 'false' }}
        and consent is not null
        and not is_bot
        and occurred_at < {{ end_of_day() }}

),

-- Of two statements of one moment any one that is always the same will do.
latest_statements as (

    select
        identifier.id_type as id_type,
        identifier.id_value as id_value,
        max({'stated_at': stated_at, 'tcf_string': tcf_string}) as latest,
    from statements
    where identifier.id_value is not null
    group by identifier.id_type, identifier.id_value

),

of_visitors as (

    select
        {{ visitor_id('id_type', 'id_value') }} as visitor_id,
        latest.stated_at as stated_at,
        latest.tcf_string as tcf_string,
    from latest_statements
    where latest.tcf_string is not null

),

of_members as (

    select
        'dmp' as side,
        visitor_id as member_id,
        stated_at,
        tcf_string,
    from of_visitors

    union all

    select
        'cdp' as side,
        customer_links.customer_id as member_id,
        of_visitors.stated_at,
        of_visitors.tcf_string,
    from of_visitors
    inner join customer_links
        on of_visitors.visitor_id = customer_links.visitor_id

),

latest_of_members as (

    select
        members.side,
        members.member_id,
        max({'stated_at': of_members.stated_at, 'tcf_string': of_members.tcf_string}) as latest,
    from of_members
    inner join members
        on
            of_members.side = members.side
            and of_members.member_id = members.member_id
    group by members.side, members.member_id

),

readable as (

    select
        side,
        member_id,
        {{ tcf_bits('latest.tcf_string') }} as bits,
        unnest(cast([{{ vendors | join(", ") }}] as bigint[])) as tcf_vendor,
    from latest_of_members

),

final as (

    select
        side,
        member_id,
        tcf_vendor,
        {{ tcf_grants_vendor('bits', 'tcf_vendor') }} as is_granted,
    from readable

)

select * from final
