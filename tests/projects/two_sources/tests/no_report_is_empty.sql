-- Of a model that is switched off: dbt keeps the test, and never runs it.
select * from {{ ref('monthly_report') }} where orders = 0
