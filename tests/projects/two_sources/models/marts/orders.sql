{{ config(alias='fct_orders') }}
select 'eu' as shop, id, cents from {{ ref('stg_eu_orders') }}
union all
select 'us' as shop, id, cents from {{ ref('stg_us_orders') }}
