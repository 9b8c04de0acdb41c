with

orders as (

    select * from {{ ref('orders') }}

),

sequenced as (

    select
        order_id,
        customer_id,
        store_id,
        ordered_at,
        ordered_date,
        subtotal,
        cast(row_number() over (
            partition by customer_id
            order by ordered_at, order_id
        ) as integer) as order_number,
        min(ordered_date) over (partition by customer_id) as first_ordered_date,
        lag(ordered_date) over (
            partition by customer_id
            order by ordered_at, order_id
        ) as previous_ordered_date
    from orders

),

final as (

    select
        order_id,
        customer_id,
        store_id,
        ordered_at,
        ordered_date,
        subtotal,
        order_number,
        order_number = 1 as is_first_order,
        first_ordered_date,
        {{ days_between('previous_ordered_date', 'ordered_date') }} as days_since_previous_order
    from sequenced

)

select * from final
