with

hourly_sales as (

    select * from {{ ref('hourly_sales') }}

),

store_days as (

    select * from {{ ref('daily_sales') }}

),

opening_hours as (

    select * from {{ ref('opening_hours') }}

),

numbers as (

    {{ dbt.generate_series(24) }}

),

last_day as (

    select max(sales_date) as last_date
    from store_days

),

-- complete days only: the last day is not over
recent_days as (

    select
        store_days.store_id,
        store_days.store_name,
        store_days.sales_date,
        opening_hours.iso_day_of_week,
        opening_hours.day_name,
        opening_hours.opens_at_hour,
        opening_hours.closes_at_hour
    from store_days
    inner join opening_hours
        on store_days.day_name = opening_hours.day_name
    cross join last_day
    where
        store_days.sales_date < last_day.last_date
        and store_days.sales_date >= {{ add_days('last_day.last_date', -56) }}

),

open_hours as (

    select
        recent_days.*,
        cast(numbers.generated_number as integer) - 1 as hour_of_day
    from recent_days
    inner join numbers
        on numbers.generated_number - 1 >= recent_days.opens_at_hour
        and numbers.generated_number - 1 < recent_days.closes_at_hour

),

demand as (

    select
        open_hours.store_id,
        open_hours.store_name,
        open_hours.iso_day_of_week,
        open_hours.day_name,
        open_hours.hour_of_day,
        count(*) as observed_days,
        avg(coalesce(hourly_sales.order_count, 0)) as average_orders,
        avg(coalesce(hourly_sales.item_count, 0)) as average_items,
        max(coalesce(hourly_sales.item_count, 0)) as peak_items
    from open_hours
    left join hourly_sales
        on open_hours.store_id = hourly_sales.store_id
        and open_hours.sales_date = hourly_sales.sales_date
        and open_hours.hour_of_day = cast(extract(hour from hourly_sales.sales_hour) as integer)
    group by
        open_hours.store_id,
        open_hours.store_name,
        open_hours.iso_day_of_week,
        open_hours.day_name,
        open_hours.hour_of_day

),

final as (

    select
        store_id,
        iso_day_of_week,
        hour_of_day,
        store_name,
        day_name,
        cast(observed_days as integer) as observed_days,
        cast(average_orders as numeric(12, 2)) as average_orders,
        cast(average_items as numeric(12, 2)) as average_items,
        cast(peak_items as integer) as peak_items,
        -- at least two people, and one more per `items_per_barista_hour` items
        cast(greatest(2, 1 + ceil(1.0 * average_items / {{ var('items_per_barista_hour') }})) as integer) as suggested_staff
    from demand

)

select * from final
