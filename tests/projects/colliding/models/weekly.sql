{{ config(schema='exposures') }}
select id from {{ ref('people') }}
