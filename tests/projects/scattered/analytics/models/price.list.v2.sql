{{ config(tags=['heavy']) }}
select currency, ten from {{ ref('price.list') }}
