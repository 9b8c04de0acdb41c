with

source as (

    select * from {{ source('jaffle_shop', 'supplies') }}

),

renamed as (

    select
        id as supply_id,
        sku,
        name as supply_name,
        {{ cents_to_currency('cost') }} as unit_cost,
        perishable as is_perishable,
        {{ to_utc('updated_at') }} as updated_at,
        {{ load_sequence() }} as load_id
    from source

)

select * from renamed
