{{ config(tags=['macros']) }}

with

cases (platform, expected) as (

    values
    ('iOS', 'mobile'),
    ('android', 'mobile'),
    ('windows', 'desktop'),
    ('ctv', 'tv'),
    ('web', 'other'),
    (null, 'other')

)

select *
from cases
where {{ device_of_platform('platform') }} is distinct from expected
