"""The schedules of the schedule groups: a tick launches the group's run, records a pending run, or joins one."""

from __future__ import annotations

import re
from datetime import timezone

import dagster as dg

from analytics_dagster.automation.instance_snapshot import InstanceSnapshot
from analytics_dagster.automation.pending_run_store import Outcome, Trigger
from analytics_dagster.automation.pending_runs import explain
from analytics_dagster.automation.run_order import AutomatedGroups
from analytics_dagster.dagster_internals.asset_job import AssetJob

_PREVIEW = re.compile(r"\d{8}_\d{6}")


def build_schedule(name: str, job: AssetJob, groups: AutomatedGroups) -> dg.ScheduleDefinition | None:
    """Return the schedule of a group's job, or None for a group without a cron."""
    group = groups.by_name[name].group
    if not group.cron:
        return None

    @dg.schedule(
        name=groups.by_name[name].schedule_name,
        job=job,
        cron_schedule=group.cron[0] if len(group.cron) == 1 else list(group.cron),
        execution_timezone=group.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING if groups.schedules_on else dg.DefaultScheduleStatus.STOPPED,
    )
    def group_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        tick = Trigger(context.scheduled_execution_time.astimezone(timezone.utc))
        snapshot = InstanceSnapshot(context.instance, groups)
        return evaluate_tick(name, tick, snapshot, is_preview=_is_preview(context))

    return group_schedule


def evaluate_tick(
    name: str, tick: Trigger, snapshot: InstanceSnapshot, *, is_preview: bool = False
) -> dg.RunRequest | dg.SkipReason:
    """Return what a group's schedule does at a tick, and record it unless this is a preview.

    After an interruption the daemon evaluates a tick again, with the same result: Dagster finds the run that was
    requested by the tick's tags, and a pending run is recorded once.
    """
    record = snapshot.store[name].find(tick)
    if record is None:
        together = [other for other in snapshot.groups.by_name[name].upstream if snapshot.ticks_at(other, tick.moment)]
        record = snapshot.decide_trigger(name, tick, together)
        if not is_preview:
            snapshot.store.record(name, record)
    return dg.RunRequest() if record.outcome is Outcome.LAUNCHED else dg.SkipReason(explain(name, record, snapshot))


def _is_preview(context: dg.ScheduleEvaluationContext) -> bool:
    """Return whether this is a preview of a tick in the UI ("Preview").

    Only the log key tells: the daemon's ends with the tick's number, a preview's with its time. A test previews a tick
    through a real code server, and fails if that changes.
    """
    return bool(context.log_key and _PREVIEW.fullmatch(context.log_key[-1]))
