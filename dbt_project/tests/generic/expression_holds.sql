{# Fails for rows for which the expression is not true: false, or unknown for want of a value. #}
{% test expression_holds(model, expression) %}

select *
from {{ model }}
where not coalesce({{ expression }}, false)

{% endtest %}
