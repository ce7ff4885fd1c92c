{%- set columns = [
    'status', 'sales_channel', 'store_id', 'currency', 'coupon', 'total', 'discount', 'ordered_at', 'updated_at'
] -%}
with

orders as (

    select * from {{ ref('stg_orders') }}

),

{{ changed_versions_of('orders', 'orders', columns) }}

select * from changed_versions
