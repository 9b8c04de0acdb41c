"""The files that `analytics-dagster init` writes for a dbt project."""
