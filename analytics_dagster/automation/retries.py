"""Runs that failed for what passes by itself are run again, after a while: what failed and what was skipped alone.

Each failed run gets its failure report, which says so, into its log.

Dagster's own retries start at once, and whatever the failure was; so they are off for the jobs of the location, and
sensors submit ours: one for these jobs, and one for what somebody has materialized in the UI. What they have decided
stands in the tags of the failed run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg

from analytics_dagster.automation.jobs import AD_HOC
from analytics_dagster.automation.retry_policies import RetryPolicies
from analytics_dagster.automation.retrying import (
    AD_HOC_SENSOR,
    DECISION,
    DUE,
    NUMBER,
    PARENT,
    RETRIED_BY,
    SENSOR,
    decide,
    decision_tags,
    due_at,
    number_of,
    retry_request,
)
from analytics_dagster.execution.failures.attach import Reporter, attach_report
from analytics_dagster.execution.failures.report import FailureReport
from analytics_dagster.execution.remaining_work import find_leftover
from analytics_dagster.processes import Life, examine
from analytics_dagster.text import counted

if TYPE_CHECKING:
    from analytics_dagster.automation.jobs import AssetJob

_LOOKS_BACK = timedelta(days=7)
_GIVES_UP_AFTER = 3_600.0
"""How many seconds after it was due a retry is given up that never came: it was deleted, or its job is gone."""

_SECONDS = 20.0
"""How long may be decided about runs in one tick: the first one finds all failures of a week."""

_BY_DAGSTER = "dagster/auto_retry_run_id"
"""The tag of a run that Dagster itself has run again; a test compares it with Dagster's own."""

_MINDED = 120.0
"""How many seconds a command line of another machine is left to run again itself what it has started."""


@dataclass(frozen=True)
class Watched:
    """Whose failed runs are looked after: those with these tags, or of this job, and of this code location."""

    tags: Mapping[str, str] = field(default_factory=dict)
    job: str | None = None
    location: str | None = None

    def records(self, instance: dg.DagsterInstance, since: datetime) -> list[dg.RunRecord]:
        """Return the failed runs of which it is not decided whether they are retried, or that are to be.

        Those first that failed first.
        """
        filters = dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE], tags=dict(self.tags), job_name=self.job, updated_after=since
        )
        records = instance.get_run_records(filters=filters, order_by="update_timestamp", ascending=True)
        return [one for one in records if self._is_here(one.dagster_run) and _is_pending(one.dagster_run)]

    def _is_here(self, run: dg.DagsterRun) -> bool:
        origin = run.remote_job_origin
        return origin is None or self.location in {None, origin.location_name}


def _is_pending(run: dg.DagsterRun) -> bool:
    """Return whether it is to be decided about a run, or it is to be retried; what Dagster itself retries is not."""
    retried = RETRIED_BY in run.tags or _BY_DAGSTER in run.tags or run.is_complete_and_waiting_to_retry
    return not retried and (DUE in run.tags or DECISION not in run.tags)


@dataclass
class Retries:
    """What a sensor does at a tick: it decides about runs that have failed, and requests the retries that are due."""

    instance: dg.DagsterInstance
    watched: Watched
    policies: RetryPolicies
    report: Callable[[dg.RunRecord], FailureReport]
    now: float

    def look(self) -> tuple[list[dg.RunRequest], list[str]]:
        """Return the runs to start, and a line for each run about which something was decided or done."""
        requests, lines = [], []
        since = datetime.fromtimestamp(self.now, timezone.utc) - _LOOKS_BACK
        records = self.watched.records(self.instance, since)
        for record in records:
            line = self._mark_retried(record.dagster_run)
            lines += [line] if line else []
        end = time.monotonic() + _SECONDS
        for record in records:
            run = self.instance.get_run_by_id(record.dagster_run.run_id) if time.monotonic() < end else None
            if run is None or RETRIED_BY in run.tags or self._is_minded(record, run):
                continue
            if DECISION not in run.tags:
                line, run = self._decide(record, run)
                lines.append(line)
            due = due_at(run)
            if due is not None and due <= self.now:
                request, line = self._start(run, due)
                requests += [request] if request else []
                lines.append(line)
        return requests, lines

    def _mark_retried(self, run: dg.DagsterRun) -> str:
        children = self.instance.get_runs(filters=dg.RunsFilter(tags={PARENT: run.run_id}), limit=1)
        if not children:
            return ""
        self.instance.add_run_tags(run.run_id, {RETRIED_BY: children[0].run_id})
        return f"Run {run.run_id} of {run.job_name} was run again by {children[0].run_id}."

    def _is_minded(self, record: dg.RunRecord, run: dg.DagsterRun) -> bool:
        """Return whether the command line that has started a run still lives: then it runs it again itself."""
        if run.remote_job_origin is not None:
            return False
        life = examine(self.instance, run).life
        since = max(record.end_time or 0.0, due_at(run) or 0.0)
        return life is Life.ALIVE or (life is Life.UNKNOWN and self.now - since < _MINDED)

    def _decide(self, record: dg.RunRecord, run: dg.DagsterRun) -> tuple[str, dg.DagsterRun]:
        report = self.report(record)
        retry = decide(report, self.policies.of(run), number_of(run.tags, NUMBER))
        tags = decision_tags(retry)
        attach_report(self.instance, run, replace(report, retry=retry))
        self.instance.add_run_tags(run.run_id, dict(tags))
        return f"Run {run.run_id} of {run.job_name}: {retry.reason}.", run.with_tags({**run.tags, **tags})

    def _start(self, run: dg.DagsterRun, due: float) -> tuple[dg.RunRequest | None, str]:
        leftover = find_leftover(self.instance, run.run_id)
        if not leftover or self.now - due > _GIVES_UP_AFTER:
            reason = "it would come too late" if leftover else "nothing of it is left to do"
            self.instance.add_run_tags(run.run_id, {DECISION: f"not retried: {reason}", RETRIED_BY: ""})
            return None, f"Run {run.run_id} of {run.job_name} is not retried: {reason}."
        number = number_of(run.tags, NUMBER) + 1
        what = f"{counted(len(leftover.assets), 'asset')} and {counted(len(leftover.checks), 'check')}"
        return retry_request(run, leftover, number), f"Run {run.run_id} of {run.job_name} is run again: {what}."


def build_retries_sensor(
    jobs: Sequence[AssetJob],
    tags: Mapping[str, str],
    policies: RetryPolicies,
    reporter: Reporter,
    *,
    minimum_interval_seconds: int = 15,
) -> dg.SensorDefinition:
    """Return the sensor that retries failed runs of jobs, which have these tags; it is on everywhere."""

    @dg.sensor(
        name=SENSOR,
        jobs=list(jobs),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=minimum_interval_seconds,
        description="Runs again, after a while, what failed of a run for a reason that passes by itself.",
    )
    def retries_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        return _tick(context, Watched(tags=tags), policies, reporter)

    return retries_sensor


def build_ad_hoc_retries_sensor(
    policies: RetryPolicies, reporter: Reporter, *, minimum_interval_seconds: int = 15
) -> dg.SensorDefinition:
    """Return the sensor that retries failed runs of what somebody has materialized in the UI; it is on everywhere."""

    @dg.sensor(
        name=AD_HOC_SENSOR,
        job_name=AD_HOC,
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=minimum_interval_seconds,
        description="Runs again, after a while, what failed of assets that were materialized by hand, for a reason "
        "that passes by itself.",
    )
    def ad_hoc_retries_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        origin = context.code_location_origin
        watched = Watched(job=AD_HOC, location=origin.location_name if origin else None)
        return _tick(context, watched, policies, reporter)

    return ad_hoc_retries_sensor


def _tick(
    context: dg.SensorEvaluationContext, watched: Watched, policies: RetryPolicies, reporter: Reporter
) -> dg.SensorResult | dg.SkipReason:
    now = datetime.now(timezone.utc).timestamp()
    instance = context.instance
    report = partial(reporter.read, instance, repository=context.repository_def)
    requests, lines = Retries(instance, watched, policies, report, now).look()
    for line in lines:
        context.log.info(line)
    if requests:
        return dg.SensorResult(run_requests=requests)
    return dg.SkipReason(" ".join(lines) or "No failed run is to be retried.")
