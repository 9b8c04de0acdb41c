{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=['store_id', 'sales_hour'],
        on_schema_change='fail'
    )
}}

with

orders as (

    select * from {{ ref('orders') }}

),

-- recompute the whole hour if one of its orders is new, late or corrected
changed_hours as (

    select distinct
        store_id,
        ordered_hour
    from orders
    {% if is_incremental() -%}
    where
        order_load_id > {{ watermark('order_load_id') }}
        or item_load_id > {{ watermark('item_load_id') }}
        or product_load_id > {{ watermark('product_load_id') }}
    {%- endif %}

),

final as (

    select
        orders.store_id,
        orders.ordered_hour as sales_hour,
        orders.ordered_date as sales_date,
        cast(count(*) as integer) as order_count,
        cast(count(distinct orders.customer_id) as integer) as customer_count,
        cast(sum(orders.item_count) as integer) as item_count,
        cast(sum(orders.jaffle_count) as integer) as jaffle_count,
        cast(sum(orders.beverage_count) as integer) as beverage_count,
        {{ money('sum(orders.subtotal)') }} as revenue,
        {{ money('sum(orders.tax_paid)') }} as tax_paid,
        {{ money('sum(orders.order_total)') }} as order_total,
        {{ money('avg(orders.subtotal)') }} as average_order_value,
        cast(sum(case when orders.is_tax_pending then 1 else 0 end) as integer) as tax_pending_count,
        {{ load_sequence('max(orders.order_load_id)') }} as order_load_id,
        {{ load_sequence('max(orders.item_load_id)') }} as item_load_id,
        {{ load_sequence('max(orders.product_load_id)') }} as product_load_id
    from orders
    inner join changed_hours
        on orders.store_id = changed_hours.store_id
        and orders.ordered_hour = changed_hours.ordered_hour
    group by
        orders.store_id,
        orders.ordered_hour,
        orders.ordered_date

)

select * from final
