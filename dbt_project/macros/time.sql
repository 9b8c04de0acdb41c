{#
    A point in time as a UTC timestamp without a zone. The raw tables hold `timestamptz`, and truncating that to an
    hour or casting it to a date follows the session's time zone: a laptop and a server would disagree about the day.
#}
{% macro to_utc(column) -%}
    cast(cast({{ column }} as timestamptz) at time zone 'UTC' as timestamp)
{%- endmacro %}


{% macro utc_now() -%}
    {{ to_utc(dbt.current_timestamp()) }}
{%- endmacro %}


{% macro month_start(column) -%}
    cast({{ dbt.date_trunc('month', 'cast(' ~ column ~ ' as timestamp)') }} as date)
{%- endmacro %}


{# Day of the week from 1 (Monday) to 7 (Sunday). #}
{% macro iso_day_of_week(column) -%}
    cast(extract(isodow from {{ column }}) as integer)
{%- endmacro %}


{% macro days_between(first_date, second_date) -%}
    cast({{ dbt.datediff(first_date, second_date, 'day') }} as integer)
{%- endmacro %}


{% macro add_days(column, days) -%}
    cast({{ dbt.dateadd('day', days, column) }} as date)
{%- endmacro %}
