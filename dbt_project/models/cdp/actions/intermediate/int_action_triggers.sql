{#- Which found triggers work on whom today: the customer had the signal, and its window is not over. -#}
with

-- What is raised is the probability of a purchase anywhere: what brings orders on line alone says too much of that.
found as (

    select * from {{ ref('purchase_triggers') }}
    where
        verdict = 'raises'
        and sales_channel = 'any'

),

signals as (

    select * from {{ ref('customer_signals') }}

),

-- A trigger of a category works when the signal was about it, or about none; a general one on what it was about.
active as (

    select
        signals.customer_id,
        case when found.category = 'any' then signals.signal_category else found.category end as category,
        found.trigger_id,
        found.meaning,
        -- How many times as many orders it makes of those within the horizon: it works on the days left of its window.
        1 + (found.effect - 1) * least(
            date_diff('day', {{ as_of_date() }}, signals.signal_date) + found.window_days, {{ var('horizon_days') }}
        ) / {{ var('horizon_days') }} as effect,
    from found
    inner join signals
        on
            found.trigger_kind = signals.signal_kind
            and found.trigger = signals.signal
            and signals.signal_date <= {{ as_of_date() }}
            and signals.signal_date >= {{ as_of_date() }} + 1 - cast(found.window_days as integer)
    where
        (found.category = 'any' or coalesce(signals.signal_category, found.category) = found.category)
        and found.stage in ('any', coalesce(signals.stage, 'unknown'))

),

final as (

    select
        customer_id,
        category,
        trigger_id,
        meaning,
        effect,
    from active
    qualify
        row_number() over (
            partition by
                customer_id,
                category
            order by
                effect desc,
                trigger_id
        ) = 1

)

select * from final
