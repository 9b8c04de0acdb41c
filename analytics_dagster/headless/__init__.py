"""The old place of the SQLite event log: the `dagster.yaml` of existing Dagster homes names it."""
