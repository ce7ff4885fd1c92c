{%- set columns = ['product_id', 'quantity', 'amount'] -%}
with

order_lines as (

    select * from {{ ref('stg_order_lines') }}

),

{{ changed_versions_of('order_lines', 'order_lines', columns) }}

select * from changed_versions
