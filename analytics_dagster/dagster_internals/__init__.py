"""What replaces or works around parts of Dagster and dagster-dbt: an upgrade of these means opening this folder."""
