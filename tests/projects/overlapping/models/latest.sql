{{ config(tags=['hourly', 'nightly']) }}
select * from {{ ref('readings') }}
