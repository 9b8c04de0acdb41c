with

source as (

    select * from {{ source('jaffle_shop', 'items') }}

),

renamed as (

    select
        id as order_item_id,
        order_id,
        sku,
        {{ to_utc('updated_at') }} as updated_at,
        {{ load_sequence() }} as load_id
    from source

)

select * from renamed
