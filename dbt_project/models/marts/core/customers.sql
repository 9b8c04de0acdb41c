with

customers as (

    select * from {{ ref('stg_customers') }}

),

order_totals as (

    select * from {{ ref('int_customer_order_totals') }}

),

final as (

    select
        customers.customer_id,
        customers.customer_name,
        customers.created_at,
        customers.updated_at,
        case
            when order_totals.order_count is null then 'prospect'
            when order_totals.order_count = 1 then 'new'
            else 'returning'
        end as customer_type,
        order_totals.first_ordered_at,
        order_totals.last_ordered_at,
        cast(coalesce(order_totals.order_count, 0) as integer) as order_count,
        cast(coalesce(order_totals.item_count, 0) as integer) as item_count,
        {{ money('coalesce(order_totals.lifetime_revenue, 0)') }} as lifetime_revenue,
        {{ money('coalesce(order_totals.lifetime_tax_paid, 0)') }} as lifetime_tax_paid,
        {{ money('coalesce(order_totals.lifetime_total, 0)') }} as lifetime_total
    from customers
    left join order_totals
        on customers.customer_id = order_totals.customer_id

)

select * from final
