{{ config(tags=['hourly']) }}
select * from {{ ref('latest') }} where value > 10
