with

order_sequence as (

    select * from {{ ref('int_customer_order_sequence') }}

),

calendar as (

    select * from {{ ref('int_calendar') }}

),

orders as (

    select
        customer_id,
        subtotal,
        {{ month_start('first_ordered_date') }} as cohort_month,
        {{ month_start('ordered_date') }} as activity_month
    from order_sequence

),

cohorts as (

    select
        cohort_month,
        count(distinct customer_id) as cohort_size
    from orders
    group by cohort_month

),

months as (

    select distinct calendar_month as activity_month
    from calendar

),

activity as (

    select
        cohort_month,
        activity_month,
        count(distinct customer_id) as active_customer_count,
        count(*) as order_count,
        sum(subtotal) as revenue
    from orders
    group by
        cohort_month,
        activity_month

),

-- every month since the cohort began, including those without orders
joined as (

    select
        cohorts.cohort_month,
        months.activity_month,
        cohorts.cohort_size,
        coalesce(activity.active_customer_count, 0) as active_customer_count,
        coalesce(activity.order_count, 0) as order_count,
        coalesce(activity.revenue, 0) as revenue
    from cohorts
    inner join months
        on cohorts.cohort_month <= months.activity_month
    left join activity
        on cohorts.cohort_month = activity.cohort_month
        and months.activity_month = activity.activity_month

),

final as (

    select
        cohort_month,
        activity_month,
        cast({{ dbt.datediff('cohort_month', 'activity_month', 'month') }} as integer) as months_since_first_order,
        cast(cohort_size as integer) as cohort_size,
        cast(active_customer_count as integer) as active_customer_count,
        {{ ratio('active_customer_count', 'cohort_size') }} as retention_rate,
        cast(order_count as integer) as order_count,
        {{ money('revenue') }} as revenue,
        {{ money('1.0 * sum(revenue) over (
            partition by cohort_month
            order by activity_month
        ) / cohort_size') }} as revenue_per_customer_to_date
    from joined

)

select * from final
