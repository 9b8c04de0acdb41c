with

source as (

    select * from {{ source('jaffle_shop', 'tweets') }}

),

renamed as (

    select
        id as tweet_id,
        user_id as customer_id,
        content as tweet_text,
        {{ to_utc('tweeted_at') }} as tweeted_at,
        {{ load_sequence() }} as load_id
    from source

)

select * from renamed
