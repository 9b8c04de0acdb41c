"""One module per command. None imports Dagster or dbt, which takes seconds, before the command runs."""
