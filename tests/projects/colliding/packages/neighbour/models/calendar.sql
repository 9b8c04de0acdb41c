{{ config(alias='calendar_of_the_neighbour') }}
select 1 as day_number
