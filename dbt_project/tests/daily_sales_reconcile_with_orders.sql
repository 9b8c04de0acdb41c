with

orders as (

    select
        store_id,
        ordered_date,
        count(*) as order_count,
        sum(order_total) as order_total,
        max(order_load_id) as order_load_id
    from {{ ref('orders') }}
    group by
        store_id,
        ordered_date

),

daily_sales as (

    select * from {{ ref('daily_sales') }}

),

-- orders change every hour, daily_sales once a night: ignore later arrivals
read_so_far as (

    select max(order_load_id) as order_load_id
    from daily_sales

)

select
    orders.store_id,
    orders.ordered_date,
    orders.order_total as order_total_of_orders,
    daily_sales.order_total as order_total_of_day
from orders
cross join read_so_far
left join daily_sales
    on orders.store_id = daily_sales.store_id
    and orders.ordered_date = daily_sales.sales_date
where
    orders.order_load_id <= read_so_far.order_load_id
    and (
        orders.order_count <> coalesce(daily_sales.order_count, 0)
        or orders.order_total <> coalesce(daily_sales.order_total, 0)
    )
