{{ config(tags=['macros']) }}

with

rows_of_channels (channel, happened_at, first_landed_on, expected) as (

    values
    ('shop', timestamp '2024-02-01 10:00', date '2024-02-29', date '2024-02-01'),
    -- A day ends later in the west than in UTC.
    ('shop', timestamp '2024-03-01 03:00', date '2024-02-29', date '2024-02-29'),
    ('shop', null, date '2024-02-29', date '2024-02-29'),
    ('shop', timestamp '2024-02-01 10:00', date '2024-03-01', date '2024-03-01')

),

{{ channel_starts_of('rows_of_channels') }}

select *
from rows_of_channels
inner join channel_starts
    on rows_of_channels.channel = channel_starts.channel
where {{ known_on('rows_of_channels', 'rows_of_channels.happened_at') }} is distinct from rows_of_channels.expected
