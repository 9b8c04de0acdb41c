"""The sensor that starts what is due: runs of groups that had to wait for those before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import dagster as dg

from analytics_dagster.automation.notes import Settlement, Trigger
from analytics_dagster.automation.order import Verdict
from analytics_dagster.automation.schedules import DUE_RUNS_SENSOR
from analytics_dagster.automation.situation import Order, Situation

if TYPE_CHECKING:
    from analytics_dagster.automation.jobs import AssetJob

SCHEDULE_NAME = "dagster/schedule_name"
"""The tag by which Dagster finds the runs of a schedule; a test compares it with Dagster's own."""


def build_due_runs_sensor(
    jobs: Sequence[AssetJob], order: Order, *, minimum_interval_seconds: int = 10
) -> dg.SensorDefinition:
    """Return the sensor that starts due runs; it is always on, as a schedule that is on needs it.

    What became due is started, even though its schedule may have been turned off meanwhile: a run that waits in the
    queue is not taken back either.
    """

    @dg.sensor(
        name=DUE_RUNS_SENSOR,
        jobs=list(jobs),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=minimum_interval_seconds,
        description="Starts the runs that were due together with those of groups upstream, when these have ended.",
    )
    def due_runs_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        origin = context.code_location_origin
        seen = look(Situation(context.instance, order, location=origin.location_name if origin else None))
        for line in seen.left_out:
            context.log.warning(line)
        for line in seen.started:
            context.log.info(line)
        if seen.requests:
            return dg.SensorResult(run_requests=seen.requests)
        return dg.SkipReason(" ".join([*seen.left_out, *seen.waiting]) or "No run is due.")

    return due_runs_sensor


@dataclass
class Look:
    """The runs to start now, and a line for each due run that starts, is left out or waits."""

    requests: list[dg.RunRequest] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


def look(situation: Situation) -> Look:
    """Return what becomes of the due runs; one that is left out is settled at once.

    A due run counts as started when there is a run with its trigger's tags, not when it was asked for: however often
    this is repeated, and wherever the daemon stops, it is started once.
    """
    seen = Look()
    for name in situation.order.groups:
        for note in situation.notebook[name].pending:
            decision = situation.decide(name, note)
            run = f"The run of {name} that is due since {note.trigger}"
            if decision is None:
                situation.notebook.settle(name, Settlement(note.trigger))
            elif decision.verdict is Verdict.LEAVE_OUT:
                situation.notebook.settle(name, Settlement(note.trigger, left_out=decision.reason))
                seen.left_out.append(f"{run} is left out: {decision.reason}.")
            elif decision.verdict is Verdict.WAIT:
                seen.waiting.append(f"{run} waits: {decision.reason}.")
            elif any(request.job_name == name for request in seen.requests):
                seen.waiting.append(f"{run} waits: another run of it starts now.")
            else:
                seen.requests.append(_request(name, note.trigger, situation.order))
                seen.started.append(f"{run} starts.")
    return seen


def _request(name: str, trigger: Trigger, order: Order) -> dg.RunRequest:
    # A run of a tick has the tags that the scheduler would have given it: it is listed with its schedule's runs.
    schedule = {} if trigger.ingestion else {SCHEDULE_NAME: order.groups[name].schedule_name}
    return dg.RunRequest(
        run_key=f"{name}:{trigger.ingestion or trigger.moment.isoformat()}",
        job_name=name,
        tags={**trigger.tags, **schedule},
    )
