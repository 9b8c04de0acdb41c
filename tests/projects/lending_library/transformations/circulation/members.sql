{{ config(materialized='table', tags=['daily']) }}
select member, count(*) as loans from {{ ref('loans') }} group by member
