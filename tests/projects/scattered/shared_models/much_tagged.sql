{{ config(materialized='table', tags=three_hundred_tags()) }}
select 1 as only_column
