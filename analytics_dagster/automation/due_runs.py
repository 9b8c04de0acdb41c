"""The sensor that starts what is due: runs of groups that had to wait for those before them."""

from __future__ import annotations

from collections.abc import Sequence
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
        requests, lines = look(Situation(context.instance, order, location=origin.location_name if origin else None))
        for line in lines:
            context.log.info(line)
        if requests:
            return dg.SensorResult(run_requests=requests)
        return dg.SkipReason(" ".join(lines) or "No run is due.")

    return due_runs_sensor


def look(situation: Situation) -> tuple[list[dg.RunRequest], list[str]]:
    """Return the runs to start now, and a line for each due run; one that is left out is settled at once.

    A due run counts as started when there is a run with its trigger's tags, not when it was asked for: however often
    this is repeated, and wherever the daemon stops, it is started once.
    """
    requests: list[dg.RunRequest] = []
    lines: list[str] = []
    for name in situation.order.groups:
        for note in situation.notebook[name].pending:
            decision = situation.decide(name, note)
            if decision is None:
                situation.notebook.settle(name, Settlement(note.trigger))
                continue
            if decision.verdict is Verdict.LEAVE_OUT:
                situation.notebook.settle(name, Settlement(note.trigger, left_out=decision.reason))
                lines.append(f"The run of {name} that was due since {note.trigger} is left out: {decision.reason}.")
            elif decision.verdict is Verdict.WAIT or any(request.job_name == name for request in requests):
                reason = decision.reason or "another run of it that starts now"
                lines.append(f"The run of {name} that is due since {note.trigger} waits: {reason}.")
            else:
                requests.append(_request(name, note.trigger, situation.order))
                lines.append(f"The run of {name} that was due since {note.trigger} starts.")
    return requests, lines


def _request(name: str, trigger: Trigger, order: Order) -> dg.RunRequest:
    # A run of a tick has the tags that the scheduler would have given it: it is listed with its schedule's runs.
    schedule = {} if trigger.ingestion else {SCHEDULE_NAME: order.groups[name].schedule_name}
    return dg.RunRequest(
        run_key=f"{name}:{trigger.ingestion or trigger.moment.isoformat()}",
        job_name=name,
        tags={**trigger.tags, **schedule},
    )
