{{ config(tags=['macros']) }}

with

cases (given, expected) as (

    values
    ('ck-1', 'ck-1'),
    ('00000000-0000-0000-0000-000000000000', null),
    ('', null),
    ('0a', '0a'),
    (null, null)

)

select *
from cases
where {{ usable_visitor_identifier('given') }} is distinct from expected
