{{ config(tags=['macros']) }}

with

cases (user_agent, platform, expected) as (

    values
    ('Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148', 'web', 'mobile'),
    ('Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/120.0 Mobile Safari/537.36', null, 'mobile'),
    ('Mozilla/5.0 (Linux; Android 13; SM-X700) Chrome/120.0 Safari/537.36', null, 'tablet'),
    ('Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) Mobile/15E148', null, 'tablet'),
    ('Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/120.0', null, 'desktop'),
    ('Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/17.0', null, 'desktop'),
    (null, 'iOS', 'mobile'),
    (null, 'windows', 'desktop'),
    ('SmartTV/1.0', 'tv', 'other'),
    (null, null, 'other')

)

select *
from cases
where {{ device_class('user_agent', 'platform') }} is distinct from expected
