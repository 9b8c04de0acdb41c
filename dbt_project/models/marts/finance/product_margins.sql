with

order_item_costs as (

    select * from {{ ref('int_order_item_costs') }}

),

products as (

    select * from {{ ref('products') }}

),

monthly as (

    select
        sku,
        {{ month_start('ordered_date') }} as sales_month,
        count(*) as items_sold,
        sum(revenue) as revenue,
        sum(supply_cost) as supply_cost,
        sum(gross_profit) as gross_profit
    from order_item_costs
    group by
        sku,
        {{ month_start('ordered_date') }}

),

final as (

    select
        monthly.sku,
        monthly.sales_month,
        products.product_name,
        products.product_type,
        cast(monthly.items_sold as integer) as items_sold,
        {{ money('monthly.revenue') }} as revenue,
        {{ money('monthly.supply_cost') }} as supply_cost,
        {{ money('monthly.gross_profit') }} as gross_profit,
        {{ ratio('monthly.gross_profit', 'monthly.revenue') }} as gross_margin_rate,
        {{ money('1.0 * monthly.revenue / monthly.items_sold') }} as average_price,
        {{ money('1.0 * monthly.supply_cost / monthly.items_sold') }} as average_unit_cost,
        {{ ratio('monthly.gross_profit', 'sum(monthly.gross_profit) over (partition by monthly.sales_month)') }} as share_of_profit
    from monthly
    inner join products
        on monthly.sku = products.sku

)

select * from final
