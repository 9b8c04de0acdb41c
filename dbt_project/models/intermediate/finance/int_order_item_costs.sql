with

order_items as (

    select * from {{ ref('order_items') }}

),

product_costs as (

    select * from {{ ref('int_product_costs_by_day') }}

),

final as (

    select
        order_items.order_item_id,
        order_items.order_id,
        order_items.customer_id,
        order_items.store_id,
        order_items.sku,
        order_items.ordered_date,
        order_items.revenue,
        coalesce(product_costs.supply_cost, 0) as supply_cost,
        order_items.revenue - coalesce(product_costs.supply_cost, 0) as gross_profit
    from order_items
    left join product_costs
        on order_items.sku = product_costs.sku
        and order_items.ordered_date = product_costs.calendar_date

)

select * from final
