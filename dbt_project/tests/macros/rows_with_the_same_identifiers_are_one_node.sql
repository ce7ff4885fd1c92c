{{ config(tags=['macros']) }}

-- Each case is a channel and an e-mail address, phone number pair; cases of one group must be one node and no other's.
with

cases (node_group, channel, email, phone) as (

    values
    (1, 'web', 'a@x', '1'),
    (1, 'web', 'a@x', '1'),
    (2, 'app', 'a@x', '1'),
    (3, 'web', 'a@x', null),
    (4, 'web', null, '1'),
    (5, 'web', null, 'a@x'),
    (null, 'web', null, null)

),

keyed as (

    select
        node_group,
        {{ node_key('orders', ['email', 'phone']) }} as node_key,
    from cases

)

select
    node_group,
    count(distinct node_key) as nodes,
from keyed
group by node_group
having count(distinct node_key) <> if(node_group is null, 0, 1)

union all

select
    min(node_group) as node_group,
    count(*) as nodes,
from (select distinct * from keyed) as distinct_nodes
where node_key is not null
group by node_key
having count(*) > 1
