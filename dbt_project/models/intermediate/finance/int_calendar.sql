{{ config(materialized='table') }}

with

orders as (

    select * from {{ ref('orders') }}

),

opening_hours as (

    select * from {{ ref('opening_hours') }}

),

holidays as (

    select * from {{ ref('holidays') }}

),

-- ten years of days, filtered to the trading period below
numbers as (

    {{ dbt.generate_series(3660) }}

),

trading_period as (

    select
        min(ordered_date) as first_date,
        max(ordered_date) as last_date
    from orders

),

days as (

    select {{ add_days('trading_period.first_date', 'cast(numbers.generated_number as integer) - 1') }} as calendar_date
    from trading_period
    cross join numbers
    where {{ add_days('trading_period.first_date', 'cast(numbers.generated_number as integer) - 1') }} <= trading_period.last_date

),

final as (

    select
        days.calendar_date,
        {{ month_start('days.calendar_date') }} as calendar_month,
        opening_hours.iso_day_of_week,
        opening_hours.day_name,
        opening_hours.day_type,
        case
            when extract(month from days.calendar_date) in (12, 1, 2) then 'winter'
            when extract(month from days.calendar_date) in (3, 4, 5) then 'spring'
            when extract(month from days.calendar_date) in (6, 7, 8) then 'summer'
            else 'autumn'
        end as season,
        holidays.holiday_name,
        opening_hours.closes_at_hour - opening_hours.opens_at_hour as open_hours
    from days
    inner join opening_hours
        on {{ iso_day_of_week('days.calendar_date') }} = opening_hours.iso_day_of_week
    left join holidays
        on days.calendar_date = holidays.holiday_date

)

select * from final
