{{ config(materialized='incremental', unique_key='order_id', tags=['hourly']) }}
select * from {{ ref('stg_orders') }}
{% if is_incremental() %}where load_id > (select coalesce(max(load_id), 0) from {{ this }}){% endif %}
