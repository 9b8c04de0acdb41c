with

periods as (

    select
        supply_id,
        sku,
        valid_to,
        lead(valid_from) over (
            partition by supply_id, sku
            order by version_number
        ) as next_valid_from
    from {{ ref('int_supply_cost_periods') }}

)

select *
from periods
where valid_to <> coalesce(next_valid_from, cast('9999-12-31' as timestamp))
