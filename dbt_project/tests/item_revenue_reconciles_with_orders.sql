with

orders as (

    select * from {{ ref('orders') }}

),

item_totals as (

    select
        order_id,
        count(*) as item_count,
        sum(revenue) as revenue
    from {{ ref('order_items') }}
    group by order_id

)

-- each item is rounded to the cent
select
    orders.order_id,
    orders.subtotal,
    item_totals.revenue
from orders
inner join item_totals
    on orders.order_id = item_totals.order_id
where abs(orders.subtotal - item_totals.revenue) > 0.01 * item_totals.item_count
