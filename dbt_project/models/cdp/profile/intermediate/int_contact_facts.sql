with

edges as (

    select * from {{ ref('int_identity_edges') }}
    where id_type in ('email', 'phone')

),

node_customers as (

    select * from {{ ref('int_node_customers') }}

),

messages as (

    select * from {{ ref('stg_messages') }}

),

consents as (

    select * from {{ ref('int_consent_statements') }}
    where id_type in ('email', 'phone')

),

emails as (

    select * from {{ ref('stg_emails') }}

),

uses as (

    select
        edges.id_type,
        edges.id_value,
        bool_or(node_customers.kind = 'orders') as is_ordered,
        bool_or(node_customers.kind = 'events') as is_signed_in,
        bool_or(node_customers.kind = 'interactions') as is_contacted,
        bool_or(coalesce(edges.reason like 'shared%', false)) as is_shared,
    from edges
    inner join node_customers
        on edges.node_key = node_customers.node_key
    group by all

),

-- A message that names both an address and a number went to one of them, its medium says which.
sent as (

    select
        'email' as id_type,
        email as id_value,
        action,
        occurred_at,
    from messages
    where
        email is not null
        and coalesce(contains(lower(medium), 'mail'), true)

    union all

    select
        'phone' as id_type,
        phone as id_value,
        action,
        occurred_at,
    from messages
    where
        phone is not null
        and not coalesce(contains(lower(medium), 'mail'), false)

),

answers as (

    select
        id_type,
        id_value,
        bool_or(action = 'opened') as is_opened,
        bool_or(action = 'clicked') as is_clicked,
        max(occurred_at) filter (where action = 'bounced') as bounced_at,
        max(occurred_at) filter (where action in ('delivered', 'opened', 'clicked')) as reached_at,
    from sent
    group by all

),

statements as (

    select
        id_type,
        id_value,
        purpose,
        max(effective_at) filter (where status = 'granted') as granted_at,
        max(effective_at) filter (where status <> 'granted') as denied_at,
    from consents
    group by all

),

grants as (

    select distinct
        id_type,
        id_value,
    from statements
    where
        granted_at is not null
        and (denied_at is null or denied_at < granted_at)

),

final as (

    select
        uses.id_type,
        uses.id_value,
        uses.is_ordered,
        uses.is_signed_in,
        uses.is_contacted,
        uses.is_shared,
        coalesce(answers.is_opened, false) as is_opened,
        coalesce(answers.is_clicked, false) as is_clicked,
        grants.id_value is not null as is_consented,
        coalesce(emails.is_disposable or emails.is_role, false)
        or coalesce(answers.bounced_at > coalesce(answers.reached_at, timestamp '1900-01-01'), false)
            as is_unreachable,
    from uses
    left join answers
        on
            uses.id_type = answers.id_type
            and uses.id_value = answers.id_value
    left join grants
        on
            uses.id_type = grants.id_type
            and uses.id_value = grants.id_value
    left join emails
        on case when uses.id_type = 'email' then uses.id_value end = emails.email

)

select * from final
