{{ config(tags=['macros']) }}

with

cases (given, expected) as (

    values
    ('+49 (0)30 12-34', '+490301234'),
    ('030/9999', '0309999'),
    (' +1 555 0100', '+15550100'),
    ('+', null),
    ('n/a', null),
    (null, null)

)

select *
from cases
where {{ normalise_phone('given') }} is distinct from expected
