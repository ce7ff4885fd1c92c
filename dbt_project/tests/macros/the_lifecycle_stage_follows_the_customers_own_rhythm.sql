{{ config(tags=['macros']) }}

with

cases (orders, days_since_last_order, average_gap_days, expected) as (

    values
    (0, null, null, 'lead'),
    (null, null, null, 'lead'),
    -- One order: the rhythm is 60 days.
    (1, 120, null, 'first_time'),
    (1, 121, null, 'at_risk'),
    (1, 241, null, 'lapsed'),
    -- The same silence of 50 days means something else to a weekly and to a monthly buyer.
    (4, 50, 30.0, 'active'),
    (4, 50, 14.0, 'at_risk'),
    (4, 50, 10.0, 'lapsed'),
    (5, 50, 30.0, 'loyal'),
    -- Several orders on a day do not make a rhythm of hours.
    (3, 14, 0.0, 'active'),
    (3, 15, 0.0, 'at_risk')

)

select *
from cases
where {{ lifecycle_stage('orders', 'days_since_last_order', 'average_gap_days') }} is distinct from expected
