with

source as (

    select * from {{ source('jaffle_shop', 'products') }}

),

renamed as (

    select
        cast(sku as text) as sku,
        trim(name) as product_name,
        cast(type as text) as product_type,
        trim(description) as product_description,
        {{ cents_to_currency('price') }} as list_price,
        {{ to_utc('updated_at') }} as updated_at,
        {{ load_sequence() }} as load_id
    from source

)

select * from renamed
