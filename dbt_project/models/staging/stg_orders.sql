with

source as (

    select * from {{ source('jaffle_shop', 'orders') }}

),

renamed as (

    select
        cast(id as text) as order_id,
        cast(customer as text) as customer_id,
        cast(store_id as text) as store_id,
        {{ to_utc('ordered_at') }} as ordered_at,
        {{ cents_to_currency('subtotal') }} as subtotal,
        {{ cents_to_currency('tax_paid') }} as tax_paid,
        {{ cents_to_currency('order_total') }} as order_total,
        {{ to_utc('updated_at') }} as updated_at,
        {{ load_sequence() }} as load_id
    from source

)

select * from renamed
