select day_number, 'project' as made_by from {{ ref('shared_checks', 'calendar') }}
