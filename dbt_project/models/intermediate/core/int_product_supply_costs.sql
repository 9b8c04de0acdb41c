with

supplies as (

    select * from {{ ref('stg_supplies') }}

),

costs as (

    select
        sku,
        count(*) as supply_count,
        sum(unit_cost) as supply_cost,
        sum(case when is_perishable then unit_cost else 0 end) as perishable_cost
    from supplies
    group by sku

)

select * from costs
