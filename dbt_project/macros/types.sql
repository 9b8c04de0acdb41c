{# An amount of money in the shop's currency. Sums and averages widen their type, each warehouse in its own way. #}
{% macro money(expression) -%}
    cast({{ expression }} as numeric(16, 2))
{%- endmacro %}


{# Cents, as the till counts them, to an amount of money. The decimal point keeps the division out of the integers. #}
{% macro cents_to_currency(column) -%}
    {{ money(column ~ ' / 100.0') }}
{%- endmacro %}


{# A share or a rate; null if the denominator is zero or null. #}
{% macro ratio(numerator, denominator) -%}
    cast(1.0 * ({{ numerator }}) / nullif({{ denominator }}, 0) as numeric(12, 4))
{%- endmacro %}
