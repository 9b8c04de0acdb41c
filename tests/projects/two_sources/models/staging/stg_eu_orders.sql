-- depends_on: {{ ref('eu_orders') }}
{{ config(alias='orders_of_eu') }}
select id, {{ shared_checks.in_cents('total') }} as cents, changed_at from {{ source('shop_eu', 'orders') }}
