with

source as (

    select * from {{ source('jaffle_shop', 'items') }}

),

renamed as (

    select
        cast(id as text) as order_item_id,
        cast(order_id as text) as order_id,
        cast(sku as text) as sku,
        {{ to_utc('updated_at') }} as updated_at,
        {{ load_sequence() }} as load_id
    from source

)

select * from renamed
