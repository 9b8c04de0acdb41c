{# Fails for rows for which the expression is not true: false, or unknown because of a null. #}
{% test expression_holds(model, expression) %}

select *
from {{ model }}
where not coalesce({{ expression }}, false)

{% endtest %}
