{{ config(materialized='table', tags=['nightly']) }}
select date_trunc('month', ordered_at) as month, sum(order_total) as revenue
from {{ ref('orders') }}
group by 1
