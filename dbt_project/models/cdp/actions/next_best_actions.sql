{{ config(meta={'in_parts_of': 'int_audience_base', 'at_a_time': 'offered_at_a_time'}) }}

with

customers as (

    select
        customer_id,
        {{ is_control('customer_id') }} as is_control,
    from {{ ref('customers') }}
    where {{ in_part('customer_id') }}

),

control_group as (

    select customer_id
    from customers
    where is_control

),

offers as (

    select offers.*
    from {{ ref('int_action_offers') }} as offers
    anti join control_group
        on offers.customer_id = control_group.customer_id
    where {{ in_part('offers.customer_id') }}

),

channels as (

    select * from {{ ref('int_action_channels') }}
    where {{ in_part('customer_id') }}

),

occasions as (

    select * from {{ ref('int_action_occasions') }}
    where {{ in_part('customer_id') }}

),

triggers as (

    select * from {{ ref('int_action_triggers') }}
    where {{ in_part('customer_id') }}

),

-- What has just happened to the customer and makes people buy raises what an offer is expected to bring: a trigger of
-- the offer's category, or else one of no category. What an offer is about and says is put beside it when few are left.
raised as (

    select
        offers.customer_id,
        offers.rule_id,
        offers.offer in ('service', 'content') as is_told,
        offers.offer = 'service' as is_service,
        coalesce(offers.product_id, offers.category, offers.offer) as thing,
        offers.product_id,
        offers.category,
        offers.priority,
        offers.place,
        coalesce(of_category.meaning, of_any.meaning) as trigger_words,
        offers.expected_gain * coalesce(of_category.effect, of_any.effect, 1) as expected_gain,
    from offers
    left join triggers as of_category
        on
            offers.customer_id = of_category.customer_id
            and offers.category = of_category.category
    left join triggers as of_any
        on
            offers.customer_id = of_any.customer_id
            and of_any.category is null

),

-- A thing is offered once, by the rule that comes first.
distinct_offers as (

    select *
    from raised
    qualify
        row_number() over (
            partition by customer_id, is_told, thing
            order by priority, expected_gain desc, rule_id
        ) = 1

),

-- For service by a call where that may be, for anything else where they answer most.
best_channels as (

    select
        channels.customer_id,
        kinds.is_service,
        channels.contact_channel,
        channels.usual_hour,
        channels.usual_weekday,
    from channels
    cross join (values (true), (false)) as kinds (is_service)
    where
        kinds.is_service
        or not channels.is_service_only
    qualify
        row_number() over (
            partition by
                channels.customer_id,
                kinds.is_service
            order by
                (kinds.is_service and channels.contact_channel = 'call') desc,
                channels.answer_count desc,
                channels.contact_channel nulls last
        ) = 1

),

numbered as (

    select
        distinct_offers.*,
        best_channels.contact_channel,
        best_channels.usual_hour,
        best_channels.usual_weekday,
        row_number() over (
            partition by
                distinct_offers.customer_id,
                distinct_offers.rule_id
            order by
                distinct_offers.expected_gain desc,
                distinct_offers.place,
                distinct_offers.product_id,
                distinct_offers.category
        ) as number_of_rule,
    from distinct_offers
    inner join best_channels
        on
            distinct_offers.customer_id = best_channels.customer_id
            and distinct_offers.is_service = best_channels.is_service

),

-- Every rule has its turn before one comes again, so that not all actions are of a kind.
ranked as (

    select
        *,
        row_number() over (
            partition by customer_id
            order by
                priority,
                number_of_rule,
                expected_gain desc,
                rule_id
        ) as rank,
    from numbered
    where number_of_rule <= {{ var('action_per_customer') }}

),

kept as (

    select
        ranked.*,
        offers.offer,
        offers.topic,
        offers.product_name,
        offers.content,
        offers.words,
        offers.why,
        offers.with_promotion,
        offers.probability,
    from ranked
    inner join offers
        on
            ranked.customer_id = offers.customer_id
            and ranked.rule_id = offers.rule_id
            and ranked.product_id is not distinct from offers.product_id
            and ranked.category is not distinct from offers.category
    where ranked.rank <= {{ var('action_per_customer') }}

),

reachable as (

    select distinct customer_id
    from channels
    where not is_service_only

),

final as (

    select
        customers.customer_id,
        case
            when kept.customer_id is null then 'none'
            when kept.offer in ('service', 'content') then kept.offer
            when kept.product_id is not null then 'product'
            else 'category'
        end as action,
        kept.rule_id,
        kept.product_id,
        kept.product_name,
        kept.category,
        coalesce(kept.topic, kept.content) as content,
        case when kept.with_promotion then 'discount' else 'none' end as promotion,
        kept.contact_channel as channel,
        kept.usual_weekday as weekday,
        case
            when customers.is_control
                then 'Control group: nothing is offered, so that what offers bring can be measured.'
            when kept.customer_id is not null
                then concat_ws(
                    ' ',
                    kept.words || '.',
                    upper(left(kept.why, 1)) || substr(kept.why, 2) || '.',
                    kept.trigger_words,
                    case
                        when kept.contact_channel is null
                            then 'How they may be contacted is not known here, for no consents are delivered.'
                    end
                )
            when reachable.customer_id is null and occasions.messages_sent >= {{ var('action_max_messages') }}
                then 'Has had enough messages lately, and comes to no other channel.'
            when reachable.customer_id is null
                then 'May not be written to, and comes to no channel of the brand.'
            else 'No rule has anything to offer.'
        end as reason,
        coalesce(kept.rank, 1) as rank,
        kept.usual_hour as hour,
        cast(kept.probability as double) as probability,
        cast(kept.expected_gain as double) as expected_gain,
        customers.is_control,
        {{ as_of_date() }} as as_of_date,
    from customers
    inner join occasions
        on customers.customer_id = occasions.customer_id
    left join reachable
        on customers.customer_id = reachable.customer_id
    left join kept
        on customers.customer_id = kept.customer_id

)

select * from final
