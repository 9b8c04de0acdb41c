{% test dbt_expects_rows(model) %}
select 1 as nothing_in_it from (select count(*) as counted from {{ model }}) where counted = 0
{% endtest %}
