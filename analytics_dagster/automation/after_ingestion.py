"""An ingestion that loaded something starts the groups that ask for it, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import dagster as dg

from analytics_dagster.automation.landing_sensor import STARTED_BY
from analytics_dagster.automation.notes import Answer, Trigger
from analytics_dagster.automation.order import answer_ingestion
from analytics_dagster.automation.retrying import PARENT
from analytics_dagster.automation.schedules import DUE_RUNS_SENSOR
from analytics_dagster.automation.situation import Order, Situation
from analytics_dagster.ingestion.assets import ROWS_LOADED

if TYPE_CHECKING:
    from analytics_dagster.automation.jobs import AssetJob

AFTER_SENSOR = "after_ingestion_sensor"


def build_after_ingestion_sensor(
    ingestion_job: AssetJob, jobs_after: Sequence[AssetJob], order: Order, default_status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    """Return the sensor that starts the given jobs after each ingestion that files started and that loaded rows.

    Each job is asked for once an ingestion run, by its run key. One that comes after another of them, or has a run
    that is going, is noted as due instead.
    """

    @dg.run_status_sensor(
        name=AFTER_SENSOR,
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[ingestion_job],
        request_jobs=list(jobs_after),
        default_status=default_status,
        description="Starts what builds on the raw tables when new files have brought new rows.",
    )
    def after_ingestion_sensor(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        run = context.dagster_run
        if STARTED_BY not in run.tags:
            yield dg.SkipReason(f"Run {run.run_id} was not started by new files.")
        elif not any(rows_loaded(context.instance, one) for one in _attempts(context.instance, run)):
            yield dg.SkipReason(f"Run {run.run_id} found no new rows.")
        else:
            trigger = Trigger(_end(context.instance, run.run_id), run.run_id)
            names = [job.name for job in jobs_after]
            requests, lines = start(names, trigger, Situation(context.instance, order))
            for line in lines:
                context.log.info(line)
            yield from requests
            if not requests:
                yield dg.SkipReason(" ".join(lines))

    return after_ingestion_sensor


def start(names: Sequence[str], trigger: Trigger, situation: Situation) -> tuple[list[dg.RunRequest], list[str]]:
    """Return the runs that an ingestion starts at once, and a line for each of the others; note which are due.

    ``names`` are the groups that ask for it, upstream first.
    """
    requests, lines = [], []
    started = set[str]()
    for name in names:
        note = situation.notebook[name].of(trigger)
        if note is None:
            upstream = situation.upstream(name, lambda other: trigger if other in started else None)
            note = answer_ingestion(trigger, situation.see(name), upstream, situation.now)
            if note is None:
                lines.append(f"{name} is due already: that run reads the new rows.")
                continue
            situation.notebook.write(name, note)
        started.add(name)
        if note.answer is Answer.DUE:
            groups = ", ".join(wait.group for wait in note.waits)
            lines.append(f"A run of {name} is due and waits for {groups}; {DUE_RUNS_SENSOR} starts it.")
        else:
            # The job's name in the key too: Dagster takes two requests of one sensor with one key for the same.
            key = f"{trigger.ingestion}:{name}"
            requests.append(dg.RunRequest(run_key=key, job_name=name, tags=trigger.tags))
    return requests, lines


def rows_loaded(instance: dg.DagsterInstance, run_id: str) -> int:
    """Return how many rows a run of the ingestion job wrote, from the metadata of its materializations."""
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    materializations = [event.asset_materialization for event in events]
    found = [one.metadata.get(ROWS_LOADED) for one in materializations if one]
    return sum(int(entry.value) for entry in found if entry and isinstance(entry.value, int))


def _attempts(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[str]:
    """Yield a run, and those that it has run again: what these had loaded before they failed is news too."""
    attempt: dg.DagsterRun | None = run
    while attempt is not None:
        yield attempt.run_id
        parent = attempt.tags.get(PARENT)
        attempt = instance.get_run_by_id(parent) if parent else None


def _end(instance: dg.DagsterInstance, run_id: str) -> datetime:
    """Return when a run ended: the same moment however often the sensor looks at it."""
    record = instance.get_run_record_by_id(run_id)
    end = record.end_time if record else None
    return datetime.fromtimestamp(end, timezone.utc) if end else datetime.now(timezone.utc)
