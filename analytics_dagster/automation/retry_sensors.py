"""The two sensors that retry failed runs, and attach the failure report to each failed run.

Dagster's own retries start at once and after any failure, so they are off for the jobs of the location; these sensors
wait, and retry transient failures only (`test_a_run_with_a_permanent_failure_is_not_retried`). The decision is stored
in the tags of the failed run.

Both sensors run the same evaluation. They are two because a sensor may request runs of its declared jobs only, and
Dagster's own job for "Materialize" in the UI can be declared only alone and by name
(`test_the_ad_hoc_sensor_requests_a_run_of_the_failed_assets`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import dagster as dg

from analytics_dagster.automation.jobs import AD_HOC
from analytics_dagster.automation.retry_decision import (
    AD_HOC_SENSOR,
    DECISION,
    DUE,
    NUMBER,
    PARENT,
    RETRIED_BY,
    RETRIES_SENSOR,
    RetryPolicies,
    decide_retry,
    decision_tags,
    due_at,
    number_of,
    retry_request,
)
from analytics_dagster.dagster_internals.asset_job import AssetJob
from analytics_dagster.execution.dead_runs import check_liveness
from analytics_dagster.execution.failures.events import ReportReader, attach_report
from analytics_dagster.execution.failures.report import FailureReport, Retry
from analytics_dagster.execution.remaining_work import find_remaining_work
from analytics_dagster.planning.groups import PROJECT_TAG
from analytics_dagster.process_identity import Liveness
from analytics_dagster.text import pluralize

_LOOKBACK = timedelta(days=7)
"""How old the end of a failed run may be."""

_MAX_OVERDUE = 3_600.0
"""After how many overdue seconds a retry is abandoned that never appeared: it was deleted, or its job is gone."""

_TICK_SECONDS = 20.0
"""How many seconds one tick may spend on decisions: the first tick finds all failures of a week."""

_DAGSTER_RETRY = "dagster/auto_retry_run_id"
"""The tag of a run that Dagster itself retried; a test compares it with Dagster's own constant."""

_COMMAND_LINE_SECONDS = 120.0
"""For how many seconds a run is left to the command line on another machine that started it."""


def build_retry_sensors(
    jobs: Sequence[AssetJob], project: str, policies: RetryPolicies, report_reader: ReportReader
) -> list[dg.SensorDefinition]:
    """Return the sensor for failed runs of the jobs, and the one for "Materialize" in the UI; both are on by default.

    ``project`` is the value of `PROJECT_TAG` on the jobs' runs.
    """

    def evaluate(context: dg.SensorEvaluationContext, **runs: Any) -> dg.SensorResult | dg.SkipReason:
        now = datetime.now(timezone.utc).timestamp()
        records = find_failed_runs(context.instance, now, **runs)
        report = partial(report_reader.read, context.instance, repository=context.repository_def)
        requests, lines = RetryEvaluation(context.instance, policies, report, now).run(records)
        for line in lines:
            context.log.info(line)
        if requests:
            return dg.SensorResult(run_requests=requests)
        return dg.SkipReason(" ".join(lines) or "No failed run is to be retried.")

    builder = partial(dg.sensor, default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=15)

    @builder(
        name=RETRIES_SENSOR,
        jobs=list(jobs),
        description="Retries failed runs of jobs after a transient failure: only what failed or was skipped.",
    )
    def retries_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        return evaluate(context, tags={PROJECT_TAG: project})

    @builder(
        name=AD_HOC_SENSOR,
        job_name=AD_HOC,
        description="Retries failed runs of assets that were materialized in the UI, after a transient failure.",
    )
    def ad_hoc_retries_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        origin = context.code_location_origin
        return evaluate(context, job=AD_HOC, location=origin.location_name if origin else None)

    return [retries_sensor, ad_hoc_retries_sensor]


def find_failed_runs(
    instance: dg.DagsterInstance,
    now: float,
    *,
    tags: Mapping[str, str] | None = None,
    job: str | None = None,
    location: str | None = None,
) -> list[dg.RunRecord]:
    """Return the failed runs without a decision, and those whose retry has not started; earliest failure first.

    Runs of other code locations than ``location`` are left to these; a run of the command line has no location.
    """
    since = datetime.fromtimestamp(now, timezone.utc) - _LOOKBACK
    filters = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], tags=tags, job_name=job, updated_after=since)
    records = instance.get_run_records(filters=filters, order_by="update_timestamp", ascending=True)
    return [record for record in records if _is_open(record.dagster_run, location)]


def _is_open(run: dg.DagsterRun, location: str | None) -> bool:
    origin = run.remote_job_origin
    is_here = origin is None or location in {None, origin.location_name}
    is_retried = RETRIED_BY in run.tags or _DAGSTER_RETRY in run.tags or run.is_complete_and_waiting_to_retry
    return is_here and not is_retried and (DUE in run.tags or DECISION not in run.tags)


def store_decision(instance: dg.DagsterInstance, run: dg.DagsterRun, report: FailureReport, retry: Retry) -> None:
    """Store whether and when a failed run is retried: in its tags, and in the report that is attached to it."""
    attach_report(instance, run, replace(report, retry=retry))
    instance.add_run_tags(run.run_id, dict(decision_tags(retry)))


def abandon_retry(instance: dg.DagsterInstance, run_id: str, reason: str) -> None:
    """Store that a retry that was decided does not happen."""
    instance.add_run_tags(run_id, {DECISION: f"not retried: {reason}", RETRIED_BY: ""})


@dataclass
class RetryEvaluation:
    """One tick of a sensor: decides about failed runs, and requests the retries that are due."""

    instance: dg.DagsterInstance
    policies: RetryPolicies
    report: Callable[[dg.RunRecord], FailureReport]
    now: float

    def run(self, records: Sequence[dg.RunRecord]) -> tuple[list[dg.RunRequest], list[str]]:
        """Return the runs to start, and a line for each failed run about which something was decided or done."""
        requests, lines = [], [line for record in records if (line := self._mark_retried(record.dagster_run))]
        end = time.monotonic() + _TICK_SECONDS
        for record in records:
            run = self.instance.get_run_by_id(record.dagster_run.run_id) if time.monotonic() < end else None
            if run is None or RETRIED_BY in run.tags or self._is_retried_by_command_line(record, run):
                continue
            if DECISION not in run.tags:
                retry = decide_retry(report := self.report(record), self.policies.of(run), number_of(run.tags, NUMBER))
                store_decision(self.instance, run, report, retry)
                lines.append(f"Run {run.run_id} of {run.job_name}: {retry.reason}.")
                due = retry.due
            else:
                due = due_at(run)
            if due is not None and due <= self.now:
                request, line = self._request(run, due)
                requests += [request] if request else []
                lines.append(line)
        return requests, lines

    def _mark_retried(self, run: dg.DagsterRun) -> str:
        children = self.instance.get_runs(filters=dg.RunsFilter(tags={PARENT: run.run_id}), limit=1)
        if not children:
            return ""
        self.instance.add_run_tags(run.run_id, {RETRIED_BY: children[0].run_id})
        return f"Run {run.run_id} of {run.job_name} was retried by run {children[0].run_id}."

    def _is_retried_by_command_line(self, record: dg.RunRecord, run: dg.DagsterRun) -> bool:
        """Return whether the command line that started a run is still alive: then it retries the run itself."""
        if run.remote_job_origin is not None:
            return False
        liveness = check_liveness(self.instance, run).liveness
        since = max(record.end_time or 0.0, due_at(run) or 0.0)
        return liveness is Liveness.ALIVE or (liveness is Liveness.UNKNOWN and self.now - since < _COMMAND_LINE_SECONDS)

    def _request(self, run: dg.DagsterRun, due: float) -> tuple[dg.RunRequest | None, str]:
        remaining = find_remaining_work(self.instance, run.run_id)
        if not remaining or self.now - due > _MAX_OVERDUE:
            reason = "its retry is overdue by more than an hour" if remaining else "no work remains"
            abandon_retry(self.instance, run.run_id, reason)
            return None, f"Run {run.run_id} of {run.job_name} is not retried: {reason}."
        number = number_of(run.tags, NUMBER) + 1
        work = f"{pluralize(len(remaining.assets), 'asset')} and {pluralize(len(remaining.checks), 'check')}"
        return retry_request(run, remaining, number), f"Retrying run {run.run_id} of {run.job_name}: {work}."
