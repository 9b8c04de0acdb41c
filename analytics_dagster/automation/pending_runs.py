"""The sensor that starts pending runs when the runs that they wait for have ended, and how messages name them.

Without it a run that has to wait would never start (`test_a_chain_of_three_runs_one_after_the_other`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import dagster as dg

from analytics_dagster.automation.instance_snapshot import InstanceSnapshot
from analytics_dagster.automation.pending_run_store import (
    SCHEDULE_NAME,
    Outcome,
    Resolution,
    Trigger,
    TriggerRecord,
    Wait,
)
from analytics_dagster.automation.run_order import Action, AutomatedGroups
from analytics_dagster.dagster_internals.asset_job import AssetJob

SENSOR = "due_runs_sensor"
"""The name of the sensor. It stays as it is: Dagster stores under it whether somebody turned the sensor off."""


def build_pending_runs_sensor(jobs: Sequence[AssetJob], groups: AutomatedGroups) -> dg.SensorDefinition:
    """Return the sensor that starts pending runs; it is on by default, because every schedule that is on needs it.

    A pending run starts even if its schedule has been turned off since: Dagster does not cancel queued runs either.
    """

    @dg.sensor(
        name=SENSOR,
        jobs=list(jobs),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=10,
        description="Starts pending runs: runs of groups that wait for upstream groups, or for a run of their own.",
    )
    def due_runs_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        origin = context.code_location_origin
        location = origin.location_name if origin else None
        result = check_pending_runs(InstanceSnapshot(context.instance, groups, location=location))
        for line in result.skipped:
            context.log.warning(line)
        for line in result.started:
            context.log.info(line)
        if result.requests:
            return dg.SensorResult(run_requests=result.requests)
        return dg.SkipReason(" ".join([*result.skipped, *result.waiting]) or "No run is pending.")

    return due_runs_sensor


@dataclass
class PendingRunsResult:
    """The runs to start now, and a line for each pending run that starts, is skipped or waits."""

    requests: list[dg.RunRequest] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


def check_pending_runs(snapshot: InstanceSnapshot) -> PendingRunsResult:
    """Return what happens to each pending run now, and store the resolution of those that are skipped.

    A pending run counts as started when a run with its trigger's tags exists, not when it is requested. So it is
    started exactly once, however often this is repeated and wherever the daemon stops.
    """
    result = PendingRunsResult()
    for name in snapshot.groups.by_name:
        for record in snapshot.store[name].pending:
            decision = snapshot.decide(name, record)
            run = f"The run of {name} pending since {record.trigger}"
            if decision is None:
                snapshot.store.resolve(name, Resolution(record.trigger))
            elif decision.action is Action.SKIP:
                snapshot.store.resolve(name, Resolution(record.trigger, skipped=decision.reason))
                result.skipped.append(f"{run} is skipped: {decision.reason}.")
            elif decision.action is Action.WAIT:
                result.waiting.append(f"{run} waits: {decision.reason}.")
            elif any(request.job_name == name for request in result.requests):
                result.waiting.append(f"{run} waits: another run of {name} starts now.")
            else:
                result.requests.append(_request(name, record.trigger, snapshot.groups))
                result.started.append(f"{run} starts.")
    return result


def explain(name: str, record: TriggerRecord, snapshot: InstanceSnapshot) -> str:
    """Return why a trigger of a group starts no run now."""
    if record.outcome is Outcome.JOINED:
        earlier = next((one.trigger for one in snapshot.unstarted(name)), "an earlier trigger")
        text = f"The run of {name} pending since {earlier} covers {record.trigger} too."
    else:
        waits = ", ".join(map(_describe, record.waits))
        own = [] if snapshot.runs_of(name, record.trigger) else snapshot.own_reasons(name)
        reasons = [*([f"it waits for {waits}"] if waits else []), *own]
        text = f"The run of {name} is pending{': ' if reasons else ''}{'; '.join(reasons)}. {SENSOR} starts it."
    return text if snapshot.is_on(SENSOR, default=True) else f"{text} But {SENSOR} is turned off: turn it on."


def _describe(wait: Wait) -> str:
    work = [*(str(trigger) for trigger in wait.triggers), *(f"run {run}" for run in wait.runs)]
    return f"{wait.group} ({', '.join(work)})"


def _request(name: str, trigger: Trigger, groups: AutomatedGroups) -> dg.RunRequest:
    # The run of a tick has the scheduler's own tags, so that Dagster lists it with its schedule's runs.
    schedule = {} if trigger.ingestion else {SCHEDULE_NAME: groups.by_name[name].schedule_name}
    return dg.RunRequest(
        run_key=f"{name}:{trigger.ingestion or trigger.moment.isoformat()}",
        job_name=name,
        tags={**trigger.tags, **schedule},
    )
