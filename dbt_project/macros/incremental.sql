{#
    The order in which rows arrived, as a number. Every load of dlt stamps its rows with an id that is the Unix time of
    the load. As text such ids do not sort safely (many collations skip the point), as numbers they do. Ten digits and
    the seven that a float has after them fit into 18; a wider number takes DuckDB 500 times as long to read from text.
#}
{% macro load_sequence(expression='_dlt_load_id') -%}
    cast({{ expression }} as numeric(18, 7))
{%- endmacro %}


{#
    The watermark of an incremental model for one raw table: the highest load id among its rows.

    Arrival is the watermark, not `updated_at`: an order that comes two days late carries a two days old `updated_at`
    and would be below the mark for ever. Each raw table has a mark of its own, because tables are loaded one
    by one: the items of an hour may land after the orders of the next one.
    A load is merged into its table in one transaction, so "greater than" misses nothing and repeats nothing.
#}
{% macro watermark(column) -%}
    (select coalesce(max({{ column }}), 0) from {{ this }})
{%- endmacro %}
