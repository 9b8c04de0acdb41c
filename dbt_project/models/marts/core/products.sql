with

products as (

    select * from {{ ref('stg_products') }}

),

supply_costs as (

    select * from {{ ref('int_product_supply_costs') }}

),

final as (

    select
        products.sku,
        products.product_name,
        products.product_type,
        products.product_description,
        products.list_price,
        cast(coalesce(supply_costs.supply_count, 0) as integer) as supply_count,
        {{ money('supply_costs.supply_cost') }} as supply_cost,
        {{ money('supply_costs.perishable_cost') }} as perishable_cost,
        {{ money('products.list_price - supply_costs.supply_cost') }} as unit_margin,
        {{ ratio('products.list_price - supply_costs.supply_cost', 'products.list_price') }} as unit_margin_rate,
        products.updated_at
    from products
    left join supply_costs
        on products.sku = supply_costs.sku

)

select * from final
