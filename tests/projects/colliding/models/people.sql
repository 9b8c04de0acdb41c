{{ config(schema='crm', materialized='table') }}
select id from {{ source('crm', 'people') }}
