{{ config(severity='warn', store_failures=true) }}
select * from {{ source('plant', 'meters') }} where degrees > 20
