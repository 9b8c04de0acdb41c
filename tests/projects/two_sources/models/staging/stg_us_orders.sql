{{ config(alias='orders_of_us') }}
select id, {{ shared_checks.in_cents('total') }} as cents from {{ source('shop_us', 'orders') }}
