with

versions as (

    select * from {{ ref('supply_costs') }}

),

numbered as (

    select
        *,
        row_number() over (
            partition by supply_id, sku
            order by dbt_valid_from
        ) as version_number
    from versions

),

periods as (

    select
        supply_id,
        sku,
        supply_name,
        unit_cost,
        cast(version_number as integer) as version_number,
        -- the snapshot began after the shop did: use the first known cost for the time before
        case
            when version_number = 1 then cast('1900-01-01' as timestamp)
            else cast(dbt_valid_from as timestamp)
        end as valid_from,
        cast(dbt_valid_to as timestamp) as valid_to
    from numbered

)

select * from periods
