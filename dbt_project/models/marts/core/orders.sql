{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='order_id',
        on_schema_change='fail'
    )
}}

with

orders as (

    select * from {{ ref('stg_orders') }}

),

order_items as (

    select
        order_items.order_id,
        order_items.load_id as item_load_id,
        products.product_type,
        products.load_id as product_load_id
    from {{ ref('stg_order_items') }} as order_items
    left join {{ ref('stg_products') }} as products
        on order_items.sku = products.sku

),

-- new, late or corrected orders, and those whose items or products changed after them
changed_orders as (

    {% if is_incremental() -%}
    select order_id from orders where load_id > {{ watermark('order_load_id') }}
    union
    select order_id from order_items where item_load_id > {{ watermark('item_load_id') }}
    union
    select order_id from order_items where product_load_id > {{ watermark('product_load_id') }}
    {%- else -%}
    select order_id from orders
    {%- endif %}

),

contents as (

    select
        order_items.order_id,
        count(*) as item_count,
        sum(case when order_items.product_type = 'jaffle' then 1 else 0 end) as jaffle_count,
        sum(case when order_items.product_type = 'beverage' then 1 else 0 end) as beverage_count,
        max(order_items.item_load_id) as item_load_id,
        max(order_items.product_load_id) as product_load_id
    from order_items
    inner join changed_orders
        on order_items.order_id = changed_orders.order_id
    group by order_items.order_id

),

final as (

    select
        orders.order_id,
        orders.customer_id,
        orders.store_id,
        orders.ordered_at,
        cast({{ dbt.date_trunc('hour', 'orders.ordered_at') }} as timestamp) as ordered_hour,
        cast(orders.ordered_at as date) as ordered_date,
        orders.subtotal,
        orders.tax_paid,
        orders.order_total,
        cast(coalesce(contents.item_count, 0) as integer) as item_count,
        cast(coalesce(contents.jaffle_count, 0) as integer) as jaffle_count,
        cast(coalesce(contents.beverage_count, 0) as integer) as beverage_count,
        orders.subtotal > 0 and orders.tax_paid = 0 as is_tax_pending,
        orders.updated_at,
        orders.load_id as order_load_id,
        {{ load_sequence('coalesce(contents.item_load_id, 0)') }} as item_load_id,
        {{ load_sequence('coalesce(contents.product_load_id, 0)') }} as product_load_id
    from orders
    inner join changed_orders
        on orders.order_id = changed_orders.order_id
    left join contents
        on orders.order_id = contents.order_id

)

select * from final
