{% macro three_hundred_tags() %}
    {% set tags = [] %}
    {% for number in range(300) %}{% do tags.append('tag_' ~ number) %}{% endfor %}
    {{ return(tags + ['tag with spaces', 'tag/with/slashes']) }}
{% endmacro %}
