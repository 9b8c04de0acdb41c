-- depends_on: {{ ref('eu_orders') }}
select 1 as off where not exists (from {{ source('shop_eu', 'orders') }}) or not exists (from {{ source('shop_us', 'orders') }})
