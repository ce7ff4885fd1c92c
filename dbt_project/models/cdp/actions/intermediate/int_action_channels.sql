{#-
    By which channel a customer may be met, and which they answer to: the ways that consent and reachability leave open,
    each with how much the customer did there in the last twelve weeks, and the hour and weekday at which they did it;
    the weekday alone where a channel says no time.
    Where a company delivers no consents at all, nobody knows here whether a customer may be written to: the way is
    null.
-#}
with

customers as (

    select * from {{ ref('customers') }}

),

contact_facts as (

    select * from {{ ref('int_contact_facts') }}

),

occasions as (

    select * from {{ ref('int_action_occasions') }}

),

customer_orders as (

    select * from {{ ref('int_customer_orders') }}
    where is_valid

),

consents as (

    select * from {{ ref('stg_consents') }}

),

events as (

    select * from {{ ref('stg_events') }}

),

recent as (

    select
        customer_id,
        has_time_of_day,
        occurred_at,
        case
            when starts_with(activity, 'email_') and split_part(activity, '_', 2) in ('opened', 'clicked') then 'email'
            when activity = 'screen_viewed' then 'app'
            when activity in ('page_viewed', 'product_viewed', 'product_added', 'product_list_viewed') then 'website'
            when activity in ('call', 'phone', 'phone_call') then 'call'
        end as contact_channel,
    from {{ ref('customer_timeline') }}
    where
        occurred_at >= {{ end_of_day() }} - interval 84 day
        and occurred_at < {{ end_of_day() }}

    union all

    select
        customer_id,
        has_time_of_day,
        ordered_at as occurred_at,
        case when is_store_order then 'store' else 'website' end as contact_channel,
    from customer_orders
    where
        ordered_at >= {{ end_of_day() }} - interval 84 day
        and ordered_at < {{ end_of_day() }}

),

-- Counted first: a mode keeps every value of a group in memory.
moments as (

    select
        customer_id,
        contact_channel,
        unnest([
            {'unit': 'hour', 'number': case when has_time_of_day then extract(hour from occurred_at) end},
            {'unit': 'weekday', 'number': isodow(occurred_at)}
        ]) as moment,
    from recent
    where contact_channel is not null

),

counted as (

    select
        customer_id,
        contact_channel,
        moment.unit,
        moment.number,
        count(*) as times,
    from moments
    group by
        customer_id,
        contact_channel,
        moment.unit,
        moment.number

),

-- Of two that are as frequent, the earlier.
answers as (

    select
        customer_id,
        contact_channel,
        cast(sum(times) filter (where unit = 'hour') as bigint) as answer_count,
        arg_max(number, times * 24 - number) filter (where unit = 'hour') as usual_hour,
        arg_max(number, times * 24 - number) filter (where unit = 'weekday') as usual_weekday,
    from counted
    group by
        customer_id,
        contact_channel

),

counted_of_all as (

    select
        contact_channel,
        unit,
        number,
        cast(sum(times) as bigint) as times,
    from counted
    group by
        contact_channel,
        unit,
        number

),

-- Whoever has not been seen in a channel is met when most others are.
usual as (

    select
        contact_channel,
        arg_max(number, times * 24 - number) filter (where unit = 'hour') as usual_hour,
        arg_max(number, times * 24 - number) filter (where unit = 'weekday') as usual_weekday,
    from counted_of_all
    group by contact_channel

),

unreachable as (

    select
        id_value,
        bool_or(is_unreachable) as is_unreachable,
    from contact_facts
    where id_type = 'email'
    group by id_value

),

-- A message needs consent, an address that works, and that there were not too many lately. A call is for service only.
-- The brand's own places need no more than that the customer comes there.
ways as (

    select
        customers.customer_id,
        unnest([
            {
                'contact_channel': 'email',
                'is_open': customers.consent_email
                and customers.email is not null
                and not coalesce(unreachable.is_unreachable, false)
                and occasions.messages_sent < {{ var('action_max_messages') }},
                'needs_visit': false,
                'is_service_only': false
            },
            {
                'contact_channel': 'call',
                'is_open': customers.phone is not null,
                'needs_visit': false,
                'is_service_only': true
            },
            {
                'contact_channel': 'app', 'is_open': true, 'needs_visit': true, 'is_service_only': false
            },
            {
                'contact_channel': 'website', 'is_open': true, 'needs_visit': true, 'is_service_only': false
            },
            {
                'contact_channel': 'store', 'is_open': true, 'needs_visit': true, 'is_service_only': false
            }
        ]) as way,
    from customers
    inner join occasions
        on customers.customer_id = occasions.customer_id
    left join unreachable
        on customers.email = unreachable.id_value

),

open_ways as (

    select
        ways.customer_id,
        ways.way.contact_channel,
        ways.way.is_service_only,
        coalesce(answers.answer_count, 0) as answer_count,
        coalesce(answers.usual_hour, usual.usual_hour) as usual_hour,
        ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'][
            coalesce(answers.usual_weekday, usual.usual_weekday)
        ] as usual_weekday,
    from ways
    left join answers
        on
            ways.customer_id = answers.customer_id
            and ways.way.contact_channel = answers.contact_channel
    left join usual
        on ways.way.contact_channel = usual.contact_channel
    where
        ways.way.is_open
        and (answers.customer_id is not null or not ways.way.needs_visit)

),

statements as (

    select count(*) as statement_count
    from consents

    union all

    select count(*) as statement_count
    from events
    where consent is not null

),

statements_of_all as (

    select sum(statement_count) as statement_count
    from statements

),

reached as (

    select distinct customer_id
    from open_ways
    where not is_service_only

),

final as (

    select * from open_ways

    union all

    select
        customers.customer_id,
        cast(null as varchar) as contact_channel,
        false as is_service_only,
        0 as answer_count,
        cast(null as bigint) as usual_hour,
        cast(null as varchar) as usual_weekday,
    from customers
    inner join occasions
        on customers.customer_id = occasions.customer_id
    cross join statements_of_all
    anti join reached
        on customers.customer_id = reached.customer_id
    where
        statements_of_all.statement_count = 0
        and occasions.messages_sent < {{ var('action_max_messages') }}

)

select * from final
