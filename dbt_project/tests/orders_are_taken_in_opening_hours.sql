{{ config(severity='warn') }}

with

orders as (

    select
        order_id,
        store_id,
        ordered_at,
        {{ iso_day_of_week('ordered_at') }} as iso_day_of_week,
        cast(extract(hour from ordered_at) as integer) as hour_of_day
    from {{ ref('orders') }}

),

opening_hours as (

    select * from {{ ref('opening_hours') }}

)

select
    orders.order_id,
    orders.store_id,
    orders.ordered_at
from orders
inner join opening_hours
    on orders.iso_day_of_week = opening_hours.iso_day_of_week
where
    orders.hour_of_day < opening_hours.opens_at_hour
    or orders.hour_of_day >= opening_hours.closes_at_hour
