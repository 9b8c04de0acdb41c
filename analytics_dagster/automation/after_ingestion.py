"""The sensor that starts the groups with ``after_ingestion`` after an ingestion that loaded new rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

import dagster as dg

from analytics_dagster.automation.instance_snapshot import InstanceSnapshot
from analytics_dagster.automation.jobs import STARTED_BY
from analytics_dagster.automation.pending_run_store import Outcome, Trigger
from analytics_dagster.automation.pending_runs import explain
from analytics_dagster.automation.retry_decision import PARENT
from analytics_dagster.automation.run_order import AutomatedGroups
from analytics_dagster.dagster_internals.asset_job import AssetJob
from analytics_dagster.ingestion.assets import ROWS_LOADED

SENSOR = "after_ingestion_sensor"


def build_after_ingestion_sensor(
    ingestion_job: AssetJob,
    jobs_after: Sequence[AssetJob],
    groups: AutomatedGroups,
    default_status: dg.DefaultSensorStatus,
) -> dg.SensorDefinition:
    """Return the sensor that starts the given jobs after each ingestion that new files started and that loaded rows.

    Its run key requests each job once for each ingestion run. A job that comes after another of them, or whose group is
    busy, gets a pending run instead.
    """

    @dg.run_status_sensor(
        name=SENSOR,
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[ingestion_job],
        request_jobs=list(jobs_after),
        default_status=default_status,
        description="Starts the groups that read the raw tables after an ingestion has loaded new rows.",
    )
    def after_ingestion_sensor(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        run = context.dagster_run
        if STARTED_BY not in run.tags:
            yield dg.SkipReason(f"Run {run.run_id} was not started by new files.")
        elif not any(rows_loaded(context.instance, one) for one in _attempts(context.instance, run)):
            yield dg.SkipReason(f"Run {run.run_id} loaded no new rows.")
        else:
            trigger = Trigger(_end(context.instance, run.run_id), run.run_id)
            names = [job.name for job in jobs_after]
            requests, lines = start_groups(names, trigger, InstanceSnapshot(context.instance, groups))
            for line in lines:
                context.log.info(line)
            yield from requests
            if not requests:
                yield dg.SkipReason(" ".join(lines))

    return after_ingestion_sensor


def start_groups(
    names: Sequence[str], trigger: Trigger, snapshot: InstanceSnapshot
) -> tuple[list[dg.RunRequest], list[str]]:
    """Return the runs that an ingestion starts at once, and a line for each other group; record the pending runs.

    ``names`` are the groups with ``after_ingestion``, upstream first.
    """
    requests, lines = [], []
    for name in names:
        record = snapshot.store[name].find(trigger)
        if record is None:
            record = snapshot.decide_trigger(name, trigger, names)
            snapshot.store.record(name, record)
        if record.outcome is Outcome.LAUNCHED:
            # With the job's name: Dagster starts only one run for two requests of one sensor with the same key.
            key = f"{trigger.ingestion}:{name}"
            requests.append(dg.RunRequest(run_key=key, job_name=name, tags=trigger.tags))
        else:
            lines.append(explain(name, record, snapshot))
    return requests, lines


def rows_loaded(instance: dg.DagsterInstance, run_id: str) -> int:
    """Return how many rows a run of the ingestion job loaded, from the metadata of its materializations."""
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    materializations = [event.asset_materialization for event in events]
    found = [one.metadata.get(ROWS_LOADED) for one in materializations if one]
    return sum(int(entry.value) for entry in found if entry and isinstance(entry.value, int))


def _attempts(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[str]:
    """Yield a run and the failed runs that it retries: the rows that those loaded are new, too."""
    yield run.run_id
    parent = instance.get_run_by_id(run.tags[PARENT]) if PARENT in run.tags else None
    if parent is not None:
        yield from _attempts(instance, parent)


def _end(instance: dg.DagsterInstance, run_id: str) -> datetime:
    """Return when a run ended: the same moment each time the sensor evaluates it."""
    record = instance.get_run_record_by_id(run_id)
    end = record.end_time if record else None
    return datetime.fromtimestamp(end, timezone.utc) if end else datetime.now(timezone.utc)
