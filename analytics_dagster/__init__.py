"""A Dagster code location for dbt: schedule groups, checks, sensors and Python assets from any dbt project."""
