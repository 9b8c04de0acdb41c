{% macro days_late(due, returned) %}{{ dbt.datediff(due, returned, 'day') }}{% endmacro %}
