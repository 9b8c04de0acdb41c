select * from {{ ref('shared_checks', 'calendar') }} where day_number < 0
