{{ config(tags=['watched']) }}
select 1 as off where (select count(*) from {{ source('plant', 'meters') }}) <> (select count(*) from {{ source('plant', 'valves') }})
