{{ config(materialized='table') }}

with

calendar as (

    select * from {{ ref('int_calendar') }}

),

cost_periods as (

    select * from {{ ref('int_supply_cost_periods') }}

),

-- the cost in force when the day ends
final as (

    select
        calendar.calendar_date,
        cost_periods.sku,
        {{ money('sum(cost_periods.unit_cost)') }} as supply_cost
    from calendar
    inner join cost_periods
        on {{ add_days('calendar.calendar_date', 1) }} > cost_periods.valid_from
        and {{ add_days('calendar.calendar_date', 1) }} <= cost_periods.valid_to
    group by
        calendar.calendar_date,
        cost_periods.sku

)

select * from final
