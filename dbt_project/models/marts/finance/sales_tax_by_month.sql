with

orders as (

    select * from {{ ref('orders') }}

),

stores as (

    select * from {{ ref('stores') }}

),

monthly as (

    select
        store_id,
        {{ month_start('ordered_at') }} as sales_month,
        count(*) as order_count,
        sum(subtotal) as taxable_sales,
        sum(tax_paid) as tax_collected,
        sum(case when is_tax_pending then 1 else 0 end) as tax_pending_count,
        sum(case when is_tax_pending then subtotal else 0 end) as tax_pending_sales
    from orders
    group by
        store_id,
        {{ month_start('ordered_at') }}

),

final as (

    select
        monthly.store_id,
        monthly.sales_month,
        stores.store_name,
        stores.tax_rate,
        cast(monthly.order_count as integer) as order_count,
        {{ money('monthly.taxable_sales') }} as taxable_sales,
        {{ money('monthly.tax_collected') }} as tax_collected,
        {{ money('monthly.taxable_sales * stores.tax_rate') }} as tax_due,
        {{ money('monthly.taxable_sales * stores.tax_rate - monthly.tax_collected') }} as tax_shortfall,
        cast(monthly.tax_pending_count as integer) as tax_pending_count,
        {{ money('monthly.tax_pending_sales * stores.tax_rate') }} as tax_pending_estimate
    from monthly
    inner join stores
        on monthly.store_id = stores.store_id

)

select * from final
