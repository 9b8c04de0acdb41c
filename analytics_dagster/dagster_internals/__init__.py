"""Patches of Dagster, and an import of dagster-dbt without dbt. Check these modules after an upgrade of either."""
