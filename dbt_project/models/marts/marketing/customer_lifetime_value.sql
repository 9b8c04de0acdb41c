with

customers as (

    select * from {{ ref('customers') }}

),

order_sequence as (

    select * from {{ ref('int_customer_order_sequence') }}

),

order_item_costs as (

    select * from {{ ref('int_order_item_costs') }}

),

tweets as (

    select * from {{ ref('tweet_sentiment') }}

),

last_day as (

    select max(ordered_date) as as_of_date
    from order_sequence

),

order_totals as (

    select
        customer_id,
        min(ordered_date) as first_ordered_date,
        max(ordered_date) as last_ordered_date,
        count(*) as order_count,
        sum(subtotal) as revenue,
        avg(1.0 * days_since_previous_order) as days_between_orders
    from order_sequence
    group by customer_id

),

profit_totals as (

    select
        customer_id,
        sum(gross_profit) as gross_profit
    from order_item_costs
    group by customer_id

),

tweet_totals as (

    select
        customer_id,
        count(*) as tweet_count,
        avg(1.0 * sentiment_score) as average_sentiment_score
    from tweets
    group by customer_id

),

measured as (

    select
        customers.customer_id,
        customers.customer_name,
        last_day.as_of_date,
        order_totals.first_ordered_date,
        order_totals.last_ordered_date,
        {{ days_between('order_totals.first_ordered_date', 'last_day.as_of_date') }} + 1 as tenure_days,
        {{ days_between('order_totals.last_ordered_date', 'last_day.as_of_date') }} as recency_days,
        order_totals.order_count,
        order_totals.days_between_orders,
        order_totals.revenue,
        coalesce(profit_totals.gross_profit, 0) as gross_profit,
        coalesce(tweet_totals.tweet_count, 0) as tweet_count,
        tweet_totals.average_sentiment_score
    from customers
    inner join order_totals
        on customers.customer_id = order_totals.customer_id
    left join profit_totals
        on customers.customer_id = profit_totals.customer_id
    left join tweet_totals
        on customers.customer_id = tweet_totals.customer_id
    cross join last_day

),

-- a customer has probably left after three times their usual gap, and at least two weeks
judged as (

    select
        *,
        recency_days > greatest(14, 3 * coalesce(days_between_orders, 14)) as is_lapsed
    from measured

),

final as (

    select
        customer_id,
        customer_name,
        as_of_date,
        first_ordered_date,
        last_ordered_date,
        tenure_days,
        recency_days,
        cast(order_count as integer) as order_count,
        cast(days_between_orders as numeric(12, 2)) as days_between_orders,
        {{ money('revenue') }} as revenue,
        {{ money('gross_profit') }} as gross_profit,
        {{ money('1.0 * revenue / order_count') }} as average_order_value,
        is_lapsed,
        {{ money('case when is_lapsed then 0 else 365.0 * gross_profit / greatest(tenure_days, 28) end') }} as expected_annual_profit,
        cast(ntile(4) over (order by revenue desc, customer_id) as integer) as value_quartile,
        cast(tweet_count as integer) as tweet_count,
        cast(average_sentiment_score as numeric(6, 2)) as average_sentiment_score
    from judged

)

select * from final
