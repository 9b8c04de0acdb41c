with

orders as (

    select
        store_id,
        ordered_hour,
        count(*) as order_count,
        sum(order_total) as order_total
    from {{ ref('orders') }}
    group by
        store_id,
        ordered_hour

),

hourly_sales as (

    select * from {{ ref('hourly_sales') }}

)

select
    coalesce(orders.store_id, hourly_sales.store_id) as store_id,
    coalesce(orders.ordered_hour, hourly_sales.sales_hour) as sales_hour,
    orders.order_total as order_total_of_orders,
    hourly_sales.order_total as order_total_of_hour
from orders
full outer join hourly_sales
    on orders.store_id = hourly_sales.store_id
    and orders.ordered_hour = hourly_sales.sales_hour
where
    coalesce(orders.order_count, 0) <> coalesce(hourly_sales.order_count, 0)
    or coalesce(orders.order_total, 0) <> coalesce(hourly_sales.order_total, 0)
