{{ config(materialized='table') }}

with

tweets as (

    select * from {{ ref('stg_tweets') }}

),

phrases as (

    select * from {{ ref('sentiment_phrases') }}

),

-- materialized: PostgreSQL would otherwise repeat the word search for every pair
searchable_tweets as materialized (

    select
        tweet_id,
        {{ searchable('tweet_text') }} as searchable_text
    from tweets

),

searchable_phrases as materialized (

    select
        {{ searchable('phrase') }} as searchable_phrase,
        score
    from phrases

),

matches as (

    select
        searchable_tweets.tweet_id,
        searchable_phrases.score
    from searchable_tweets
    inner join searchable_phrases
        on {{ dbt.position('searchable_phrases.searchable_phrase', 'searchable_tweets.searchable_text') }} > 0

),

scores as (

    select
        tweet_id,
        cast(count(*) as integer) as matched_phrase_count,
        cast(sum(score) as integer) as sentiment_score
    from matches
    group by tweet_id

)

select * from scores
