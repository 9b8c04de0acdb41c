{{ config(tags=['nightly']) }}
select place, avg(value) as mean_value from {{ ref('latest') }} group by place
