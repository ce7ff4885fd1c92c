{{ config(tags=['macros']) }}

-- The framework's own example grants vendors 2, 6 and 8 by one bit each. The same string with ranges grants vendor 2
-- and those from 10 to 755; what follows, of legitimate interest, says 799. In the third no range is granted.
{%- set example = 'COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA.IFoEUQQgAIQwgIwQABAEAAAAOIAACAIAAAAQAIAgEAACEAA' %}
{%- set ranges = 'COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAGQQAwABQAKAvMBkAGQQAQGPgAA' %}
{%- set nobody = 'COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAGQQAAMggAgMf' %}
{%- set cut_short = 'COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAA' %}
{%- set cases = [
    (example, 1, false), (example, 2, true), (example, 6, true), (example, 7, false), (example, 8, true),
    (example, 9, false), (example, 755, false),
    (ranges, 2, true), (ranges, 9, false), (ranges, 10, true), (ranges, 400, true), (ranges, 755, true),
    (ranges, 756, false), (ranges, 799, false),
    (nobody, 2, false), (nobody, 799, false),
    (cut_short, 2, false), (ranges[:39], 2, false), ('C', 2, false),
] %}

with

cases (given, vendor, told, expected) as (
    {% for string, vendor, expected in cases %}
    {{ "union all" if not loop.first }}
    select
        '{{ string }}' as given,
        {{ vendor }} as vendor,
        {{ tcf_grants_vendor(tcf_bits("'" ~ string ~ "'"), vendor) }} as told,
        {{ expected }} as expected,
    {%- endfor %}

)

select *
from cases
where told is distinct from expected
