{{ config(tags=['macros']) }}

with

cases (given, expected) as (

    values
    (' Ann@Example.ORG ', 'ann@example.org'),
    ('ann@example.org', 'ann@example.org'),
    ('   ', null),
    (null, null)

)

select *
from cases
where {{ normalise_email('given') }} is distinct from expected
