"""Makes `analytics_dagster.headless.event_log` importable: the `dagster.yaml` of existing Dagster homes names it."""

from analytics_dagster.dagster_internals.sqlite_event_log import PooledSqliteEventLogStorage

__all__ = ["PooledSqliteEventLogStorage"]
