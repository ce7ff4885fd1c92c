{{ config(tags=['macros']) }}

with

cases (user_agent, expected) as (

    values
    ('Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)', true),
    ('Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/120.0 Safari/537.36', true),
    ('curl/8.4.0', true),
    ('python-requests/2.31', true),
    ('Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148', false),
    ('Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36 Chrome/120.0 Mobile', false),
    (null, false)

)

select *
from cases
where {{ is_bot('user_agent') }} is distinct from expected
