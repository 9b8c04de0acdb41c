with

cost_periods as (

    select * from {{ ref('int_supply_cost_periods') }}

),

order_items as (

    select * from {{ ref('order_items') }}

),

calendar as (

    select * from {{ ref('int_calendar') }}

),

changes as (

    select
        *,
        lag(unit_cost) over (
            partition by supply_id, sku
            order by version_number
        ) as previous_unit_cost
    from cost_periods

),

last_day as (

    select max(calendar_date) as last_date
    from calendar

),

recent_sales as (

    select
        order_items.sku,
        count(*) as items_sold
    from order_items
    cross join last_day
    where order_items.ordered_date > {{ add_days('last_day.last_date', -28) }}
    group by order_items.sku

),

final as (

    select
        changes.supply_id,
        changes.sku,
        changes.version_number,
        changes.supply_name,
        changes.valid_from as changed_at,
        {{ money('changes.previous_unit_cost') }} as previous_unit_cost,
        {{ money('changes.unit_cost') }} as unit_cost,
        {{ money('changes.unit_cost - changes.previous_unit_cost') }} as cost_change,
        {{ ratio('changes.unit_cost - changes.previous_unit_cost', 'changes.previous_unit_cost') }} as cost_change_rate,
        cast(coalesce(recent_sales.items_sold, 0) as integer) as items_sold_28_days,
        {{ money('(changes.unit_cost - changes.previous_unit_cost) * coalesce(recent_sales.items_sold, 0)') }} as cost_impact_28_days
    from changes
    left join recent_sales
        on changes.sku = recent_sales.sku
    where changes.unit_cost <> changes.previous_unit_cost

)

select * from final
