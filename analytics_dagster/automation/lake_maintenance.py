"""The maintenance job of a DuckLake warehouse.

No ``from __future__ import annotations`` here: Dagster reads the annotations of decorated functions at run time.
"""

from contextlib import closing

import dagster as dg
from pydantic import Field

from analytics_dagster.errors import AnalyticsError, NoWarehouseYetError
from analytics_dagster.project.profile import Target
from analytics_dagster.redaction import redacted_step
from analytics_dagster.settings import Settings
from analytics_dagster.warehouse import POOL, Kind, Warehouse, kind_of
from analytics_dagster.warehouse.lake import LakeRetention, maintain, measure

JOB = "lake_maintenance"
"""The name of the job; its schedule is named after it."""

CRON = "30 3 * * *"
"""When it runs: before the bundled nightly group."""


class UpkeepConfig(dg.Config):
    """How long old data is kept."""

    snapshot_days: float = Field(
        default=LakeRetention.snapshot_days, ge=0, description="For how many days snapshots can be read."
    )
    file_hours: float = Field(
        default=LakeRetention.file_hours, ge=0, description="For how many hours unreferenced files are kept."
    )


@dg.op(name=JOB, pool=POOL, description="Expires old snapshots, merges small files, deletes unreferenced files.")
def _maintain(context: dg.OpExecutionContext, config: UpkeepConfig, warehouse: Warehouse) -> None:
    try:
        with redacted_step(context.log), closing(warehouse.open_duckdb(read_only=True)):
            pass
        with redacted_step(context.log), closing(warehouse.open_duckdb(read_only=False)) as lake:
            [(name,)] = lake.execute("select current_database()").fetchall()
            before = measure(lake, name)
            done = maintain(lake, name, LakeRetention(config.snapshot_days, config.file_hours))
            after = measure(lake, name)
    except NoWarehouseYetError:
        context.log.info("There is no DuckLake yet: nothing to do.")
        return
    except AnalyticsError as error:
        raise dg.Failure(str(error)) from None
    context.log.info(", ".join(f"{count:,} {what}" for what, count in done.items()))
    context.log.info(
        f"files {before.files:,} -> {after.files:,}, MB {before.bytes / 1e6:,.1f} -> {after.bytes / 1e6:,.1f}, "
        f"snapshots {before.snapshots:,} -> {after.snapshots:,}"
    )


def build_lake_maintenance(settings: Settings, target: Target) -> dg.Definitions:
    """Return the job and its schedule if the target is a DuckLake, else nothing.

    The job takes a slot of the warehouse's pool, so it never runs beside a build. It needs the resource ``warehouse``.
    """
    if kind_of(target) is not Kind.LAKE:
        return dg.Definitions()

    description = "Maintains the DuckLake: expires snapshots, merges small files, deletes unreferenced files."
    maintenance = dg.GraphDefinition(JOB, node_defs=[_maintain], description=description).to_job()
    status = dg.DefaultScheduleStatus.RUNNING if settings.automation_is_on else dg.DefaultScheduleStatus.STOPPED
    schedule = dg.ScheduleDefinition(
        name=f"{JOB}_schedule",
        job=maintenance,
        cron_schedule=CRON,
        execution_timezone=settings.time_zone,
        default_status=status,
    )
    return dg.Definitions(jobs=[maintenance], schedules=[schedule])
