with

source as (

    select * from {{ source('jaffle_shop', 'stores') }}

),

renamed as (

    select
        id as store_id,
        name as store_name,
        cast(tax_rate as numeric(6, 4)) as tax_rate,
        {{ to_utc('opened_at') }} as opened_at,
        {{ to_utc('updated_at') }} as updated_at,
        {{ load_sequence() }} as load_id
    from source

)

select * from renamed
