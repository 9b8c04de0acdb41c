"""The schedules of the schedule groups: a tick starts the group's run, is left out, or makes the run due."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timezone
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
        result, replaced = answer(name, tick, situation, is_preview=_is_preview(context))
        if replaced:
            context.log.info(replaced)
        return result

    return group_schedule


def answer(
    name: str, tick: Trigger, situation: Situation, *, is_preview: bool = False
) -> tuple[dg.RunRequest | dg.SkipReason, str]:
    """Return what a group's schedule does at a tick, and which due run that replaces; keep a note of it.

    A preview keeps none. A tick that the daemon evaluates again, as it was interrupted, comes to the same: Dagster
    finds the run that it asked for by the tick's tags, and what is due is due once.
    """
    before = situation.notebook[name]
    note = before.of(tick)
    if note is None or note.answer is Answer.SKIPPED:
        note = answer_tick(
            tick,
            [run.run_id for run in situation.unfinished(name)],
            situation.upstream(name, lambda other: tick if situation.ticks_too(other, tick.moment) else None),
            datetime.now(timezone.utc),
        )
        if not is_preview:
            situation.notebook.write(name, note)
    if note.answer is Answer.SKIPPED:
        state = next(run for run in situation.unfinished(name) if run.run_id == note.instead)
        return dg.SkipReason(f"The last run of {name} is not over ({state}): this tick is left out."), ""
    replaced = " ".join(
        f"It replaces the run that was due since {one.trigger}."
        for one in before.pending
        if not one.trigger.ingestion and one.trigger != tick and not situation.runs_of(name, one.trigger)
    )
    if note.answer is Answer.LAUNCHED:
        return dg.RunRequest(), replaced
    return dg.SkipReason(" ".join([*_why_due(note, situation), replaced]).strip()), replaced


def _why_due(note: Note, situation: Situation) -> Iterator[str]:
    yield f"A run is due and waits for {', '.join(_named(wait) for wait in note.waits)}; {DUE_RUNS_SENSOR} starts it."
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
