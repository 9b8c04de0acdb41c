with

tweet_products as (

    select * from {{ ref('int_tweet_products') }}

),

tweets as (

    select * from {{ ref('tweet_sentiment') }}

),

products as (

    select * from {{ ref('products') }}

),

monthly as (

    select
        tweet_products.sku,
        {{ month_start('tweets.tweeted_at') }} as tweeted_month,
        count(*) as mention_count,
        count(distinct tweets.customer_id) as customer_count,
        sum(case when tweets.sentiment = 'positive' then 1 else 0 end) as positive_count,
        sum(case when tweets.sentiment = 'neutral' then 1 else 0 end) as neutral_count,
        sum(case when tweets.sentiment = 'negative' then 1 else 0 end) as negative_count
    from tweet_products
    inner join tweets
        on tweet_products.tweet_id = tweets.tweet_id
    group by
        tweet_products.sku,
        {{ month_start('tweets.tweeted_at') }}

),

final as (

    select
        monthly.sku,
        monthly.tweeted_month,
        products.product_name,
        cast(monthly.mention_count as integer) as mention_count,
        cast(monthly.customer_count as integer) as customer_count,
        cast(monthly.positive_count as integer) as positive_count,
        cast(monthly.neutral_count as integer) as neutral_count,
        cast(monthly.negative_count as integer) as negative_count,
        {{ ratio('monthly.positive_count - monthly.negative_count', 'monthly.mention_count') }} as net_sentiment
    from monthly
    inner join products
        on monthly.sku = products.sku

)

select * from final
