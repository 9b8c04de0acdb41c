with

orders as (

    select * from {{ ref('orders') }}

),

totals as (

    select
        customer_id,
        min(ordered_at) as first_ordered_at,
        max(ordered_at) as last_ordered_at,
        count(*) as order_count,
        sum(item_count) as item_count,
        sum(subtotal) as lifetime_revenue,
        sum(tax_paid) as lifetime_tax_paid,
        sum(order_total) as lifetime_total
    from orders
    group by customer_id

)

select * from totals
