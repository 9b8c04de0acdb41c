{{ config(materialized='table') }}
select 1 as day_number, 'package' as made_by
