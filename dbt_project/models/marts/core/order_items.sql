{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='order_item_id',
        on_schema_change='fail'
    )
}}

with

orders as (

    select * from {{ ref('orders') }}

),

-- skip items without their order or product: they are included when these arrive, by their load id
order_items as (

    select
        order_items.order_item_id,
        order_items.order_id,
        order_items.sku,
        order_items.updated_at,
        order_items.load_id as item_load_id,
        products.product_type,
        products.list_price,
        products.load_id as product_load_id
    from {{ ref('stg_order_items') }} as order_items
    inner join {{ ref('stg_products') }} as products
        on order_items.sku = products.sku

),

-- whole orders, because an additional item changes the shares of the others
changed_orders as (

    {% if is_incremental() -%}
    select order_id from orders where order_load_id > {{ watermark('order_load_id') }}
    union
    select order_id from order_items where item_load_id > {{ watermark('item_load_id') }}
    union
    select order_id from order_items where product_load_id > {{ watermark('product_load_id') }}
    {%- else -%}
    select order_id from orders
    {%- endif %}

),

joined as (

    select
        order_items.*,
        orders.customer_id,
        orders.store_id,
        orders.ordered_at,
        orders.ordered_date,
        orders.subtotal,
        orders.order_load_id,
        sum(order_items.list_price) over (partition by order_items.order_id) as order_list_price
    from order_items
    inner join changed_orders
        on order_items.order_id = changed_orders.order_id
    inner join orders
        on order_items.order_id = orders.order_id

),

final as (

    select
        order_item_id,
        order_id,
        customer_id,
        store_id,
        sku,
        product_type,
        ordered_at,
        ordered_date,
        list_price,
        {{ money('coalesce(subtotal * list_price / nullif(order_list_price, 0), 0)') }} as revenue,
        updated_at,
        order_load_id,
        item_load_id,
        product_load_id
    from joined

)

select * from final
