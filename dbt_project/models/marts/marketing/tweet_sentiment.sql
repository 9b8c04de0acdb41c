with

tweets as (

    select * from {{ ref('stg_tweets') }}

),

scores as (

    select * from {{ ref('int_tweet_scores') }}

),

product_mentions as (

    select
        tweet_id,
        count(*) as product_count
    from {{ ref('int_tweet_products') }}
    group by tweet_id

),

final as (

    select
        tweets.tweet_id,
        tweets.customer_id,
        tweets.tweeted_at,
        cast(tweets.tweeted_at as date) as tweeted_date,
        tweets.tweet_text,
        coalesce(scores.sentiment_score, 0) as sentiment_score,
        case
            when scores.sentiment_score > 0 then 'positive'
            when scores.sentiment_score < 0 then 'negative'
            else 'neutral'
        end as sentiment,
        coalesce(scores.matched_phrase_count, 0) as matched_phrase_count,
        cast(coalesce(product_mentions.product_count, 0) as integer) as product_count
    from tweets
    left join scores
        on tweets.tweet_id = scores.tweet_id
    left join product_mentions
        on tweets.tweet_id = product_mentions.tweet_id

)

select * from final
