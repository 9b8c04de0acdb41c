"""The schedules of the schedule groups: a tick launches the group's run, is skipped, or records a pending run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timezone

import dagster as dg

from analytics_dagster.automation.instance_snapshot import InstanceSnapshot
from analytics_dagster.automation.pending_run_store import Outcome, Trigger, TriggerRecord, Wait
from analytics_dagster.automation.pending_runs import SENSOR
from analytics_dagster.automation.run_order import AutomatedGroups, decide_tick
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
    if record is None or record.outcome is Outcome.SKIPPED:
        record = _decide(name, tick, snapshot)
        if not is_preview:
            snapshot.store.record(name, record)
    if record.outcome is Outcome.LAUNCHED:
        return dg.RunRequest()
    return dg.SkipReason(" ".join(_explain(name, record, snapshot)))


def _decide(name: str, tick: Trigger, snapshot: InstanceSnapshot) -> TriggerRecord:
    return decide_tick(
        tick,
        own=[run.run_id for run in snapshot.unfinished_runs(name)],
        upstream=snapshot.upstream_work(name, lambda other: tick if snapshot.ticks_at(other, tick.moment) else None),
        now=snapshot.now,
        is_pending=_pending_tick(name, snapshot) is not None,
    )


def _pending_tick(name: str, snapshot: InstanceSnapshot) -> Trigger | None:
    """Return the tick since which a run of a group is pending; None also if the sensor has just started that run."""
    pending = [record.trigger for record in snapshot.store[name].pending if not record.trigger.ingestion]
    return next((trigger for trigger in pending if not snapshot.runs_of(name, trigger)), None)


def _explain(name: str, record: TriggerRecord, snapshot: InstanceSnapshot) -> Iterator[str]:
    if record.outcome is Outcome.SKIPPED:
        status = next(run.status.value for run in snapshot.unfinished_runs(name) if run.run_id == record.covered_by)
        yield f"Skipped: run {record.covered_by} of {name} is still in progress ({status})."
        return
    if record.outcome is Outcome.JOINED:
        earlier = _pending_tick(name, snapshot) or "an earlier tick"
        yield f"Skipped: the run of {name} pending since {earlier} covers this tick too."
    else:
        waits = ", ".join(_describe(wait) for wait in record.waits)
        yield f"The run of {name} is pending: it waits for {waits}. {SENSOR} starts it."
    if not snapshot.is_on(SENSOR, default=True):
        yield f"But {SENSOR} is turned off: turn it on."


def _describe(wait: Wait) -> str:
    work = [*(str(trigger) for trigger in wait.triggers), *(f"run {run}" for run in wait.runs)]
    return f"{wait.group} ({', '.join(work)})"


def _is_preview(context: dg.ScheduleEvaluationContext) -> bool:
    """Return whether this is a preview of a tick in the UI ("Preview").

    Only the log key tells: the daemon's ends with the tick's number, a preview's with its time. A test previews a tick
    through a real code server, and fails if that changes.
    """
    return bool(context.log_key and _PREVIEW.fullmatch(context.log_key[-1]))
