"""The schedules of the schedule groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from analytics_dagster.transform.groups import ScheduleGroup

if TYPE_CHECKING:
    from analytics_dagster.automation.jobs import AssetJob


def build_schedule(group: ScheduleGroup, job: AssetJob, *, running: bool) -> dg.ScheduleDefinition | None:
    """Return the schedule of a group's job, or None for a group without a cron; ``running`` says how it starts."""
    if not group.cron:
        return None
    return dg.ScheduleDefinition(
        name=f"{group.name}_schedule",
        job=job,
        cron_schedule=group.cron[0] if len(group.cron) == 1 else list(group.cron),
        execution_timezone=group.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED,
    )
