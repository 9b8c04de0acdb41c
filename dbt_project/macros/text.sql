{# Text made comparable: lower case, words separated by single spaces, one at either end, so that ' not bad ' matches whole words. #}
{% macro searchable(column) -%}
    ' ' || trim(regexp_replace(lower({{ column }}), '[^a-z0-9]+', ' ', 'g')) || ' '
{%- endmacro %}
