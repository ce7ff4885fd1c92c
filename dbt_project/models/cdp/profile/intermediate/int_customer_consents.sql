with

consents as (

    select * from {{ ref('int_consent_statements') }}

),

customer_identifiers as (

    select * from {{ ref('customer_identifiers') }}

),

-- The latest statement on any of a customer's identifiers holds; when two are as late, the refusal does, and before a
-- grant what is unknown.
final as (

    select
        customer_identifiers.customer_id,
        consents.purpose,
        consents.channel,
        consents.status,
        consents.status = 'granted' as is_granted,
        consents.effective_at,
    from consents
    inner join customer_identifiers
        on
            consents.id_type = customer_identifiers.id_type
            and consents.id_value = customer_identifiers.id_value
    qualify
        row_number() over (
            partition by customer_identifiers.customer_id, consents.purpose
            order by
                consents.effective_at desc,
                consents.status = 'granted',
                consents.status = 'unknown',
                consents.channel,
                consents.id_value
        ) = 1

)

select * from final
