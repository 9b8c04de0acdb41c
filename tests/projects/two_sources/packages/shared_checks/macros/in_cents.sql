{% macro in_cents(amount) %}cast({{ amount }} * 100 as integer){% endmacro %}
