{{ config(materialized='ephemeral') }}
select * from {{ ref('loans') }} where returned_on is not null
