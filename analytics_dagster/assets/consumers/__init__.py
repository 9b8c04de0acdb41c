"""Python assets that read models of dbt."""
