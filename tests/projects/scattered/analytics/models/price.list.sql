{{ config(materialized='incremental', unique_key='currency', tags=['heavy']) }}
select currency, ten from {{ ref('third_link') }}
