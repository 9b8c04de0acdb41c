-- Long enough to be interrupted.
select id, pg_sleep(15)::text as slept from {{ ref('quick') }}
