-- A word that Dagster keeps for itself.
select länge from {{ ref('größe') }}
