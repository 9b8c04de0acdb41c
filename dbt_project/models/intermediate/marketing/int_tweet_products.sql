{{ config(materialized='table') }}

with

tweets as (

    select * from {{ ref('stg_tweets') }}

),

products as (

    select * from {{ ref('stg_products') }}

),

-- materialized: PostgreSQL would otherwise repeat the word search for every pair
searchable_tweets as materialized (

    select
        tweet_id,
        {{ searchable('tweet_text') }} as searchable_text
    from tweets

),

searchable_products as materialized (

    select
        sku,
        {{ searchable('product_name') }} as searchable_name
    from products

),

mentions as (

    select
        searchable_tweets.tweet_id,
        searchable_products.sku
    from searchable_tweets
    inner join searchable_products
        on {{ dbt.position('searchable_products.searchable_name', 'searchable_tweets.searchable_text') }} > 0

)

select * from mentions
