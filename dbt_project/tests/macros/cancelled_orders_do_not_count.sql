{{ config(tags=['macros']) }}

with

cases (status, expected) as (

    values
    ('Cancelled', false),
    ('refunded ', false),
    ('Declined', false),
    ('wc-refunded', false),
    ('wc-processing', true),
    ('partially_refunded', true),
    ('completed', true),
    ('', true),
    (null, true)

)

select *
from cases
where {{ is_valid_order('status') }} is distinct from expected
