{{ config(tags=['macros']) }}

with

cases (landed, became, expected) as (

    values
    ('not one', null, map(['sent_at', 'email'], ['soon', 'not one'])),
    ('ann@example.org', 'ann@example.org', map(['sent_at'], ['soon'])),
    (' ', null, map(['sent_at'], ['soon'])),
    (null, null, map(['sent_at'], ['soon']))

),

kept as (

    select
        {{ with_refused("map(['sent_at'], ['soon'])", {'email': ('landed', 'became')}) }} as found,
        expected,
    from cases

)

select *
from kept
where found is distinct from expected
