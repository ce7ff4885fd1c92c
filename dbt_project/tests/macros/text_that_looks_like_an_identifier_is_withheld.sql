{{ config(tags=['macros']) }}

with

cases (given, own_id, expected) as (

    values
    ('sport', 'u1', 'sport'),
    ('spring_20240401', 'u1', 'spring_20240401'),
    ('Wine & cheese', 'u1', 'Wine & cheese'),
    ('u1', 'u1', '(withheld)'),
    ('to ann@example.org', 'u1', '(withheld)'),
    ('ann%40example.org', 'u1', '(withheld)'),
    ('from 203.0.113.77', 'u1', '(withheld)'),
    ('+49301234567', 'u1', '(withheld)'),
    ('0301234567', 'u1', '(withheld)'),
    ('212-555-0199', 'u1', '(withheld)'),
    ('(212) 555-0199 ', 'u1', '(withheld)'),
    ('+49 30 1234567', 'u1', '(withheld)'),
    ('030/1234567', 'u1', '(withheld)'),
    ('212.555.0199', 'u1', '(withheld)'),
    ('25000-49999', 'u1', '25000-49999'),
    ('100000-149999', 'u1', '100000-149999'),
    ('2024-04-01', 'u1', '2024-04-01'),
    ('2024-04-01 10:00:00', 'u1', '2024-04-01 10:00:00'),
    ('0.12345678', 'u1', '0.12345678'),
    ('from 2001:db8:0:1:2:3:4:5', 'u1', '(withheld)'),
    ('2001:DB8::1', 'u1', '(withheld)'),
    ('00:1a:2b:3c:4d:5e', 'u1', '(withheld)'),
    ('std::add, face::value', 'u1', 'std::add, face::value'),
    ('7C9E6679-7425-40de-944b-e07fc1f90ae7', 'u1', '(withheld)'),
    ('d41d8cd98f00b204e9800998ecf8427e', 'u1', '(withheld)'),
    ('0.041666667', 'u1', '0.04166666'),
    ('-12.5', 'u1', '-12.5'),
    ('1.00000000007e-05', 'u1', '1.00000000e-05'),
    ('0.041666667', '0.041666667', '(withheld)'),
    ('301234567.5', 'u1', '(withheld)'),
    ('203.0.113.77', 'u1', '(withheld)'),
    ('sport', null, 'sport'),
    (null, 'u1', null)

)

select *
from cases
where {{ without_identifiers('given', ['own_id']) }} is distinct from expected
