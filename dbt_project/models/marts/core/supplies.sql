with

supplies as (

    select * from {{ ref('stg_supplies') }}

),

supply_costs as (

    select * from {{ ref('int_product_supply_costs') }}

),

uses as (

    select
        supply_id,
        count(*) as product_count
    from supplies
    group by supply_id

),

final as (

    select
        supplies.supply_id,
        supplies.sku,
        supplies.supply_name,
        supplies.is_perishable,
        supplies.unit_cost,
        {{ ratio('supplies.unit_cost', 'supply_costs.supply_cost') }} as share_of_product_cost,
        cast(uses.product_count as integer) as product_count,
        supplies.updated_at
    from supplies
    inner join supply_costs
        on supplies.sku = supply_costs.sku
    inner join uses
        on supplies.supply_id = uses.supply_id

)

select * from final
