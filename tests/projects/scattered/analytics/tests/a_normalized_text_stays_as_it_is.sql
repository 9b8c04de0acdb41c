-- Reads a function, and no table.
select 1 as off where {{ function('normalized') }}(' A ') <> 'a'
