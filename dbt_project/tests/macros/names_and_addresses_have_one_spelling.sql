{{ config(tags=['macros']) }}

with

names (given, expected) as (

    values
    ('  Ann   Lee ', 'Ann Lee'),
    (', Ann -', 'Ann'),
    ('"Ann"', 'Ann'),
    ('Zoe' || chr(776), 'Zo' || chr(235)),
    ('Ann' || chr(160) || 'Lee', 'Ann Lee'),
    ('O''Brien', 'O''Brien'),
    ('''t Hart', '''t Hart'),
    ('Lee Jr.', 'Lee Jr.'),
    ('Anne-Marie', 'Anne-Marie'),
    ('McDONALD', 'McDONALD'),
    ('.', null),
    (' ', null),
    (null, null)

),

postcodes (given, expected) as (

    values
    (' sw1a  1aa ', 'SW1A 1AA'),
    ('43247', '43247'),
    ('D-10115,', 'D-10115'),
    ('', null),
    (null, null)

)

select *
from names
where {{ normalise_name('given') }} is distinct from expected

union all

select *
from postcodes
where {{ normalise_postcode('given') }} is distinct from expected
