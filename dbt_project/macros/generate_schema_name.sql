{#
    Where a node is built.

    A DuckDB file belongs to one person or one job, and `prod` is built by the scheduler alone: nobody else writes
    there, so the layers keep their plain names (`staging`, `marts`, ...), which is what consumers and people query.
    Any other target may be a warehouse that several people share: there dbt's default puts the target's own schema in
    front (`alice_marts`), so that nobody overwrites somebody else's tables, or production's.
#}
{% macro generate_schema_name(custom_schema_name, node) -%}

    {%- set owns_the_warehouse = target.type == 'duckdb' or target.name == 'prod' -%}

    {%- if custom_schema_name and owns_the_warehouse -%}
        {{ custom_schema_name | trim }}
    {%- else -%}
        {{ default__generate_schema_name(custom_schema_name, node) }}
    {%- endif -%}

{%- endmacro %}
