with

stores as (

    select * from {{ ref('stg_stores') }}

),

opening_hours as (

    select * from {{ ref('opening_hours') }}

),

orders as (

    select * from {{ ref('orders') }}

),

weekly_hours as (

    select sum(closes_at_hour - opens_at_hour) as weekly_open_hours
    from opening_hours

),

order_totals as (

    select
        store_id,
        min(ordered_at) as first_ordered_at,
        max(ordered_at) as last_ordered_at,
        count(*) as order_count,
        count(distinct customer_id) as customer_count,
        sum(subtotal) as lifetime_revenue
    from orders
    group by store_id

),

final as (

    select
        stores.store_id,
        stores.store_name,
        stores.tax_rate,
        cast(stores.opened_at as date) as opened_date,
        stores.opened_at <= {{ utc_now() }} as is_open,
        cast(weekly_hours.weekly_open_hours as integer) as weekly_open_hours,
        order_totals.first_ordered_at,
        order_totals.last_ordered_at,
        cast(coalesce(order_totals.order_count, 0) as integer) as order_count,
        cast(coalesce(order_totals.customer_count, 0) as integer) as customer_count,
        {{ money('coalesce(order_totals.lifetime_revenue, 0)') }} as lifetime_revenue,
        stores.updated_at
    from stores
    cross join weekly_hours
    left join order_totals
        on stores.store_id = order_totals.store_id

)

select * from final
