select id as order_id, customer as customer_id, ordered_at, order_total, cast(_dlt_load_id as double) as load_id
from {{ source('jaffle_shop', 'orders') }}
