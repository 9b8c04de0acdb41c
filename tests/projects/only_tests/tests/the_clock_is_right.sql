-- Reads nothing at all.
select 1 as off where current_date < date '2020-01-01'
