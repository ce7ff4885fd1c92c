{{ config(tags=['macros']) }}

with

cases (given, expected) as (

    values
    ('203.0.113.77', '203.0.113.0/24'),
    (' ::FFFF:203.0.113.77', '203.0.113.0/24'),
    ('2001:db8:ab:1::1', '2001:db8:ab::/48'),
    ('2001:0DB8:00ab:0001:0002:0003:0004:0005', '2001:db8:ab::/48'),
    ('2001:db8::1', '2001:db8:0::/48'),
    ('::1', '0:0:0::/48'),
    ('1::3:4:5:6:7:8', '1:0:3::/48'),
    ('1:2:3:4:5:6:7:8::', null),
    ('fe80::1%eth0', null),
    ('1::2::3', null),
    ('unknown', null),
    ('', null),
    (null, null)

)

select *
from cases
where {{ coarse_network('given') }} is distinct from expected
