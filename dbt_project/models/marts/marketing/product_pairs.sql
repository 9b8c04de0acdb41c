with

order_items as (

    select * from {{ ref('order_items') }}

),

products as (

    select * from {{ ref('products') }}

),

baskets as (

    select distinct
        order_id,
        sku
    from order_items

),

basket_total as (

    select count(distinct order_id) as order_count
    from baskets

),

product_totals as (

    select
        sku,
        count(*) as order_count
    from baskets
    group by sku

),

pairs as (

    select
        one.sku as first_sku,
        other.sku as second_sku,
        count(*) as order_count
    from baskets as one
    inner join baskets as other
        on one.order_id = other.order_id
        and one.sku < other.sku
    group by
        one.sku,
        other.sku

),

final as (

    select
        pairs.first_sku,
        pairs.second_sku,
        first_product.product_name as first_product_name,
        second_product.product_name as second_product_name,
        cast(pairs.order_count as integer) as order_count,
        {{ ratio('pairs.order_count', 'basket_total.order_count') }} as support,
        {{ ratio('1.0 * pairs.order_count * basket_total.order_count', '1.0 * first_total.order_count * second_total.order_count') }} as lift
    from pairs
    cross join basket_total
    inner join product_totals as first_total
        on pairs.first_sku = first_total.sku
    inner join product_totals as second_total
        on pairs.second_sku = second_total.sku
    inner join products as first_product
        on pairs.first_sku = first_product.sku
    inner join products as second_product
        on pairs.second_sku = second_product.sku

)

select * from final
