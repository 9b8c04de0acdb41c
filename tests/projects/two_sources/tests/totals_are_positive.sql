-- Of the same name as one of the package, and about the same table.
select * from {{ ref('shared_checks', 'calendar') }} where day_number = 0
