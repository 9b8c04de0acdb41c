with

calendar as (

    select * from {{ ref('int_calendar') }}

),

stores as (

    select * from {{ ref('stores') }}

),

orders as (

    select * from {{ ref('orders') }}

),

order_sequence as (

    select * from {{ ref('int_customer_order_sequence') }}

),

order_item_costs as (

    select * from {{ ref('int_order_item_costs') }}

),

targets as (

    select * from {{ ref('store_targets') }}

),

-- every store on every day since it opened: a day without sales is a row of zeros, not a gap
store_days as (

    select
        stores.store_id,
        stores.store_name,
        calendar.*
    from stores
    inner join calendar
        on stores.opened_date <= calendar.calendar_date

),

order_totals as (

    select
        orders.store_id,
        orders.ordered_date,
        count(*) as order_count,
        count(distinct orders.customer_id) as customer_count,
        sum(case when order_sequence.is_first_order then 1 else 0 end) as new_customer_count,
        sum(orders.item_count) as item_count,
        sum(orders.subtotal) as revenue,
        sum(orders.tax_paid) as tax_paid,
        sum(orders.order_total) as order_total,
        sum(case when orders.is_tax_pending then 1 else 0 end) as tax_pending_count,
        max(orders.order_load_id) as order_load_id
    from orders
    inner join order_sequence
        on orders.order_id = order_sequence.order_id
    group by
        orders.store_id,
        orders.ordered_date

),

cost_totals as (

    select
        store_id,
        ordered_date,
        sum(supply_cost) as supply_cost
    from order_item_costs
    group by
        store_id,
        ordered_date

),

joined as (

    select
        store_days.store_id,
        store_days.store_name,
        store_days.calendar_date,
        store_days.calendar_month,
        store_days.day_name,
        store_days.day_type,
        store_days.season,
        store_days.holiday_name,
        targets.revenue_target,
        coalesce(order_totals.order_count, 0) as order_count,
        coalesce(order_totals.customer_count, 0) as customer_count,
        coalesce(order_totals.new_customer_count, 0) as new_customer_count,
        coalesce(order_totals.item_count, 0) as item_count,
        coalesce(order_totals.revenue, 0) as revenue,
        coalesce(order_totals.tax_paid, 0) as tax_paid,
        coalesce(order_totals.order_total, 0) as order_total,
        coalesce(cost_totals.supply_cost, 0) as supply_cost,
        coalesce(order_totals.tax_pending_count, 0) as tax_pending_count,
        coalesce(order_totals.order_load_id, 0) as order_load_id
    from store_days
    left join order_totals
        on store_days.store_id = order_totals.store_id
        and store_days.calendar_date = order_totals.ordered_date
    left join cost_totals
        on store_days.store_id = cost_totals.store_id
        and store_days.calendar_date = cost_totals.ordered_date
    left join targets
        on store_days.store_name = targets.store_name
        and store_days.day_type = targets.day_type

),

final as (

    select
        store_id,
        store_name,
        calendar_date as sales_date,
        calendar_month as sales_month,
        day_name,
        day_type,
        season,
        holiday_name,
        cast(order_count as integer) as order_count,
        cast(customer_count as integer) as customer_count,
        cast(new_customer_count as integer) as new_customer_count,
        cast(item_count as integer) as item_count,
        {{ money('revenue') }} as revenue,
        {{ money('tax_paid') }} as tax_paid,
        {{ money('order_total') }} as order_total,
        {{ money('supply_cost') }} as supply_cost,
        {{ money('revenue - supply_cost') }} as gross_profit,
        {{ money('1.0 * revenue / nullif(order_count, 0)') }} as average_order_value,
        {{ money('avg(revenue) over (
            partition by store_id
            order by calendar_date
            rows between 6 preceding and current row
        )') }} as revenue_7_day_average,
        {{ money('revenue_target') }} as revenue_target,
        {{ ratio('revenue', 'revenue_target') }} as target_attainment,
        cast(tax_pending_count as integer) as tax_pending_count,
        {{ load_sequence('order_load_id') }} as order_load_id
    from joined

)

select * from final
