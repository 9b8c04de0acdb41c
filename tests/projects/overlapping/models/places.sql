{{ config(tags=['hourly', 'nightly']) }}
select distinct place from {{ ref('latest') }}
