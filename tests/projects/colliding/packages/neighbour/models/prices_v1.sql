{{ config(alias='prices_of_the_neighbour') }}
select 1 as id
