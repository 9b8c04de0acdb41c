with

daily_sales as (

    select * from {{ ref('daily_sales') }}

),

months as (

    select
        store_id,
        store_name,
        sales_month,
        count(*) as trading_days,
        sum(order_count) as order_count,
        sum(revenue) as revenue,
        sum(supply_cost) as supply_cost,
        sum(gross_profit) as gross_profit,
        sum(revenue_target) as revenue_target
    from daily_sales
    group by
        store_id,
        store_name,
        sales_month

),

compared as (

    select
        *,
        lag(revenue) over (partition by store_id order by sales_month) as previous_revenue,
        lag(trading_days) over (partition by store_id order by sales_month) as previous_trading_days
    from months

),

final as (

    select
        store_id,
        store_name,
        sales_month,
        cast(trading_days as integer) as trading_days,
        cast(order_count as integer) as order_count,
        {{ money('revenue') }} as revenue,
        {{ money('supply_cost') }} as supply_cost,
        {{ money('gross_profit') }} as gross_profit,
        {{ ratio('gross_profit', 'revenue') }} as gross_margin_rate,
        {{ money('revenue_target') }} as revenue_target,
        {{ ratio('revenue', 'revenue_target') }} as target_attainment,
        {{ money('1.0 * revenue / trading_days') }} as revenue_per_day,
        -- per day, so that an incomplete month can be compared with a complete one
        {{ ratio('1.0 * revenue / trading_days - 1.0 * previous_revenue / previous_trading_days',
                 '1.0 * previous_revenue / previous_trading_days') }} as revenue_per_day_growth
    from compared

)

select * from final
