-- The same name as one of the package's: two relations, by the alias.
select day_number from {{ ref('neighbour', 'calendar') }}
