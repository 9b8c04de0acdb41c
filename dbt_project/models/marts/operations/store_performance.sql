with

daily_sales as (

    select * from {{ ref('daily_sales') }}

),

calendar as (

    select * from {{ ref('int_calendar') }}

),

-- the number of days before the last day with sales
aged_days as (

    select
        daily_sales.*,
        calendar.open_hours,
        {{ days_between('daily_sales.sales_date', 'last_day.last_date') }} as days_ago
    from daily_sales
    inner join calendar
        on daily_sales.sales_date = calendar.calendar_date
    cross join (select max(calendar_date) as last_date from calendar) as last_day

),

periods as (

    select
        store_id,
        store_name,
        min(sales_date) as first_sales_date,
        max(sales_date) as last_sales_date,
        sum(case when days_ago < 28 then order_count else 0 end) as order_count,
        sum(case when days_ago < 28 then new_customer_count else 0 end) as new_customer_count,
        sum(case when days_ago < 28 then revenue else 0 end) as revenue,
        sum(case when days_ago < 28 then gross_profit else 0 end) as gross_profit,
        sum(case when days_ago < 28 then revenue_target else 0 end) as revenue_target,
        sum(case when days_ago < 28 then open_hours else 0 end) as open_hours,
        sum(case when days_ago >= 28 and days_ago < 56 then revenue else 0 end) as previous_revenue
    from aged_days
    group by
        store_id,
        store_name

),

final as (

    select
        store_id,
        store_name,
        first_sales_date,
        last_sales_date,
        cast(order_count as integer) as order_count,
        cast(new_customer_count as integer) as new_customer_count,
        {{ money('revenue') }} as revenue,
        {{ money('gross_profit') }} as gross_profit,
        {{ ratio('gross_profit', 'revenue') }} as gross_margin_rate,
        {{ money('1.0 * revenue / nullif(order_count, 0)') }} as average_order_value,
        {{ money('1.0 * revenue / nullif(open_hours, 0)') }} as revenue_per_open_hour,
        {{ ratio('revenue', 'revenue_target') }} as target_attainment,
        {{ ratio('revenue - previous_revenue', 'previous_revenue') }} as revenue_growth,
        cast(rank() over (order by revenue desc) as integer) as revenue_rank
    from periods

)

select * from final
