{{ config(severity='warn') }}

select
    order_id,
    store_id,
    ordered_at
from {{ ref('orders') }}
where
    is_tax_pending
    and ordered_at < {{ dbt.dateadd('hour', -48, utc_now()) }}
