{#-
    What could be offered to whom: every rule that a customer satisfies, with each thing that it may offer and what that
    is expected to bring.
-#}
with

customers as (

    select * from {{ ref('int_audience_base') }}

),

occasions as (

    select * from {{ ref('int_action_occasions') }}

),

rules as (

    select * from {{ ref('int_action_rules') }}

),

-- A row for each, and not the map of all of a customer's scores, which every offer would carry.
category_scores as (

    select
        customer_id,
        substr(score, length('purchase_probability:') + 1) as category,
        value as probability,
    from {{ ref('customer_scores') }}
    where score like 'purchase_probability:%'

),

recommendations as (

    select * from {{ ref('product_recommendations') }}

),

purchases as (

    select
        customer_id,
        product_id,
        category,
        amount,
    from {{ ref('customer_timeline') }}
    where
        activity = 'purchase'
        and occurred_at < {{ end_of_day() }}

),

bought as (

    select distinct
        customer_id,
        product_id,
    from purchases
    where product_id is not null

),

typical_amounts as (

    select
        category,
        cast(avg(amount) as decimal(18, 4)) as typical_amount,
    from purchases
    where category is not null
    group by category

),

typical_amount as (

    select cast(avg(amount) as decimal(18, 4)) as typical_amount
    from purchases

),

needs as (

    select
        stage,
        need as content,
    from {{ ref('stage_needs') }}
    where
        need_kind = 'content'
        and is_significant
        and lift > 1
    qualify row_number() over (partition by stage order by lift desc, need) = 1

),

sensitivity as (

    select median(discount_share) as usual_discount_share
    from customers
    where discount_share is not null

),

on_occasion as (

    select
        customers.*,
        occasions.* exclude (customer_id),
    from customers
    inner join occasions
        on customers.customer_id = occasions.customer_id

),

known as (

    select
        on_occasion.customer_id,
        on_occasion.lifecycle_stage,
        on_occasion.top_category,
        on_occasion.scores['purchase_probability'] as purchase_probability,
        on_occasion.open_issue,
        on_occasion.cart_product_id,
        on_occasion.cart_product_name,
        on_occasion.cart_category,
        needs.content,
        coalesce(on_occasion.discount_share > sensitivity.usual_discount_share, false) as is_price_sensitive,
        {{ matching_rules(var('action_rules'), 'rule_id') | indent(8) }} as rule_ids,
    from on_occasion
    cross join sensitivity
    left join needs
        on on_occasion.lifecycle_stage = needs.stage

),

matched as (

    select
        *,
        unnest(rule_ids) as matching_rule_id,
    from known

),

asked as (

    select
        matched.* exclude (rule_ids, matching_rule_id),
        rules.rule_id,
        rules.offer,
        rules.promotion as promotion_rule,
        rules.words,
        rules.priority,
    from matched
    inner join rules
        on matched.matching_rule_id = rules.rule_id

),

offered as (

    select
        asked.*,
        case when asked.offer = 'service' then asked.open_issue end as topic,
        case when asked.offer = 'cart' then asked.cart_product_id end as product_id,
        case when asked.offer = 'cart' then asked.cart_product_name end as product_name,
        case
            when asked.offer = 'cart' then asked.cart_category
            when asked.offer = 'category' then asked.top_category
        end as category,
        cast(null as varchar) as why,
        cast(null as double) as own_probability,
        0 as place,
    from asked
    where
        asked.offer in ('service', 'content')
        or (asked.offer = 'cart' and asked.cart_product_id is not null)
        or (asked.offer = 'category' and asked.top_category is not null)

    union all

    select
        asked.*,
        cast(null as varchar) as topic,
        recommendations.product_id,
        recommendations.product_name,
        recommendations.category,
        recommendations.reason as why,
        case when recommendations.recommender = 'blend' then recommendations.score end as own_probability,
        recommendations.rank as place,
    from asked
    inner join recommendations
        on asked.customer_id = recommendations.customer_id
    left join bought
        on
            recommendations.customer_id = bought.customer_id
            and recommendations.product_id = bought.product_id
    where
        asked.offer = 'product'
        or (asked.offer = 'repeat' and bought.customer_id is not null)
        or (asked.offer = 'new' and bought.customer_id is null)

),

-- How probable the purchase is: of the product where the recommender says so, else of its category, else at all.
likely as (

    select
        offered.*,
        case
            when offered.offer not in ('service', 'content')
                then coalesce(
                    offered.own_probability,
                    category_scores.probability,
                    offered.purchase_probability,
                    0
                )
        end as probability,
    from offered
    left join category_scores
        on
            offered.customer_id = category_scores.customer_id
            and offered.category = category_scores.category

),

final as (

    select
        likely.customer_id,
        likely.rule_id,
        likely.offer,
        likely.priority,
        likely.topic,
        likely.product_id,
        likely.product_name,
        likely.category,
        likely.content,
        likely.words,
        likely.why,
        likely.place,
        case
            when likely.promotion_rule = 'always' then true
            when likely.promotion_rule = 'if_sensitive'
                then
                    likely.is_price_sensitive
                    and coalesce(likely.purchase_probability < 0.5, true)
            else false
        end as with_promotion,
        likely.probability,
        likely.probability
        * coalesce(typical_amounts.typical_amount, typical_amount.typical_amount, 0)
        / case when likely.own_probability is null then ln(2 + likely.place) else 1 end as expected_gain,
    from likely
    cross join typical_amount
    left join typical_amounts
        on likely.category = typical_amounts.category

)

select * from final
