with

order_items as (

    select * from {{ ref('order_items') }}

),

cost_periods as (

    select * from {{ ref('int_supply_cost_periods') }}

),

supplies as (

    select * from {{ ref('stg_supplies') }}

),

items_sold as (

    select
        store_id,
        ordered_date,
        {{ add_days('ordered_date', 1) }} as next_date,
        sku,
        count(*) as items_sold
    from order_items
    group by
        store_id,
        ordered_date,
        sku

),

usage as (

    select
        items_sold.store_id,
        items_sold.ordered_date,
        cost_periods.supply_id,
        sum(items_sold.items_sold) as units_used,
        sum(items_sold.items_sold * cost_periods.unit_cost) as supply_cost
    from items_sold
    inner join cost_periods
        on items_sold.sku = cost_periods.sku
        and items_sold.next_date > cost_periods.valid_from
        and items_sold.next_date <= cost_periods.valid_to
    group by
        items_sold.store_id,
        items_sold.ordered_date,
        cost_periods.supply_id

),

names as (

    select
        supply_id,
        min(supply_name) as supply_name,
        max(case when is_perishable then 1 else 0 end) = 1 as is_perishable
    from supplies
    group by supply_id

),

final as (

    select
        usage.store_id,
        usage.ordered_date as usage_date,
        usage.supply_id,
        names.supply_name,
        names.is_perishable,
        cast(usage.units_used as integer) as units_used,
        {{ money('usage.supply_cost') }} as supply_cost
    from usage
    inner join names
        on usage.supply_id = names.supply_id

)

select * from final
