"""The schedules of the schedule groups: a tick starts the group's run, is left out, or makes the run due."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timezone
from typing import TYPE_CHECKING

import dagster as dg

from analytics_dagster.automation.notes import Answer, Note, Trigger, Wait
from analytics_dagster.automation.order import answer_tick
from analytics_dagster.automation.situation import Order, Situation

if TYPE_CHECKING:
    from analytics_dagster.automation.jobs import AssetJob

DUE_RUNS_SENSOR = "due_runs_sensor"
"""The name of the sensor that starts the runs that are due."""

_PREVIEW = re.compile(r"\d{8}_\d{6}")


def build_schedule(name: str, job: AssetJob, order: Order) -> dg.ScheduleDefinition | None:
    """Return the schedule of a group's job, or None for a group without a cron."""
    group = order.groups[name].group
    if not group.cron:
        return None

    @dg.schedule(
        name=order.groups[name].schedule_name,
        job=job,
        cron_schedule=group.cron[0] if len(group.cron) == 1 else list(group.cron),
        execution_timezone=group.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING if order.running else dg.DefaultScheduleStatus.STOPPED,
    )
    def group_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        situation = Situation(context.instance, order)
        tick = Trigger(context.scheduled_execution_time.astimezone(timezone.utc))
        return answer(name, tick, situation, is_preview=_is_preview(context))

    return group_schedule


def answer(
    name: str, tick: Trigger, situation: Situation, *, is_preview: bool = False
) -> dg.RunRequest | dg.SkipReason:
    """Return what a group's schedule does at a tick, and keep a note of it unless it is a preview.

    A tick that the daemon evaluates again, as it was interrupted, comes to the same: Dagster finds the run that it
    asked for by the tick's tags, and what is due is due once.
    """
    note = situation.notebook[name].of(tick)
    if note is None or note.answer is Answer.SKIPPED:
        note = _answer(name, tick, situation)
        if not is_preview:
            situation.notebook.write(name, note)
    if note.answer is Answer.LAUNCHED:
        return dg.RunRequest()
    return dg.SkipReason(" ".join(_why(name, note, situation)))


def _answer(name: str, tick: Trigger, situation: Situation) -> Note:
    return answer_tick(
        tick,
        own=[run.run_id for run in situation.unfinished(name)],
        upstream=situation.upstream(name, lambda other: tick if situation.ticks_too(other, tick.moment) else None),
        now=situation.now,
        is_due=_due_tick(name, situation) is not None,
    )


def _due_tick(name: str, situation: Situation) -> Trigger | None:
    """Return the tick since which a run of a group is due; None also where the sensor has just started it."""
    due = [note.trigger for note in situation.notebook[name].pending if not note.trigger.ingestion]
    return next((trigger for trigger in due if not situation.runs_of(name, trigger)), None)


def _why(name: str, note: Note, situation: Situation) -> Iterator[str]:
    if note.answer is Answer.SKIPPED:
        state = next(run for run in situation.unfinished(name) if run.run_id == note.instead)
        yield f"The last run of {name} is not over ({state}): this tick is left out."
        return
    if note.answer is Answer.JOINED:
        earlier = _due_tick(name, situation) or "an earlier tick"
        yield f"The run of {name} that is due since {earlier} waits still, and stands for this tick too."
    else:
        waits = ", ".join(_named(wait) for wait in note.waits)
        yield f"A run is due and waits for {waits}; {DUE_RUNS_SENSOR} starts it."
    if not situation.is_on(DUE_RUNS_SENSOR, default=True):
        yield f"But {DUE_RUNS_SENSOR} is turned off: turn it on."


def _named(wait: Wait) -> str:
    what = [*(str(trigger) for trigger in wait.triggers), *(f"run {run}" for run in wait.runs)]
    return f"{wait.group} ({', '.join(what)})"


def _is_preview(context: dg.ScheduleEvaluationContext) -> bool:
    """Return whether somebody only looks at what a tick would do ("Preview" in the UI).

    Nothing else tells: the daemon's key of a tick's log ends with the tick's number, a preview's with its time. A
    test previews a tick through a real code server, and fails when that changes.
    """
    return bool(context.log_key and _PREVIEW.fullmatch(context.log_key[-1]))
