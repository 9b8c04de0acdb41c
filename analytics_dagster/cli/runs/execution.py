"""Executes jobs in this process, one after the other, and retries failed runs as their schedule group configures."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import dagster as dg

from analytics_dagster.automation import retry_decision
from analytics_dagster.automation.retry_sensors import abandon_retry, store_decision
from analytics_dagster.cli.runs.live_display import live_display
from analytics_dagster.dagster_internals.run_execution import NewRun, execute_job
from analytics_dagster.execution.failures.report import FailureReport, Retry
from analytics_dagster.execution.remaining_work import RemainingWork, find_remaining_work
from analytics_dagster.location import Location
from analytics_dagster.process_identity import process_tags

_QUIET: Mapping[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class JobRequest:
    """A job to execute, or a selection of its assets and checks.

    ``assets`` is None for the whole job; ``checks`` is None for all checks of ``assets``. The job is not started if one
    of the jobs in ``after`` failed. ``parent`` is the run that is retried; ``number`` counts the automatic retries.
    """

    job: str
    assets: frozenset[dg.AssetKey] | None = None
    checks: frozenset[dg.AssetCheckKey] | None = None
    configuration: Mapping[str, Any] = field(default_factory=dict)
    after: frozenset[str] = frozenset()
    parent: dg.DagsterRun | None = None
    number: int = 0

    @classmethod
    def for_remaining(cls, run: dg.DagsterRun, remaining: RemainingWork) -> JobRequest:
        """Return the request for what a run did not complete."""
        configuration = remaining.configuration(run.run_config)
        return cls(run.job_name, remaining.assets, remaining.checks, configuration=configuration, parent=run)


@dataclass(frozen=True)
class JobResult:
    """The last run of a job, and the ``earlier`` runs that it retries, oldest first.

    ``run_id`` is None if the job was not started; ``reason`` says why, or that the run was canceled.
    """

    job: str
    run_id: str | None
    succeeded: bool
    reason: str = ""
    earlier: tuple[str, ...] = ()


Retrier = Callable[[JobRequest, str], JobRequest | None]
"""Returns the retry of a failed run when it is due, or None if it is not retried."""


def execute_jobs(
    definitions: dg.Definitions,
    requests: Sequence[JobRequest],
    *,
    instance: dg.DagsterInstance,
    retrier: Retrier | None = None,
) -> list[JobResult]:
    """Execute the jobs in order and return their results; ``retrier`` is called after each failed run.

    A job that failed or was not started blocks only the jobs that name it in ``after``. Ctrl-C cancels the current run,
    or the wait for its retry, and no other job is started.
    """
    results: list[JobResult] = []
    interrupted = False
    for request in requests:
        blocker = "interrupted" if interrupted else _blocker(request, results)
        if blocker:
            results.append(JobResult(request.job, None, succeeded=False, reason=f"not started: {blocker}"))
            continue
        runs: list[str] = []
        pending: JobRequest | None = request
        while pending is not None:
            current, pending = pending, None
            runs.append(str(uuid.uuid4()))
            with live_display(instance, request.job, runs[-1]):
                status = _execute(definitions, current, instance, runs[-1])
            interrupted = status is dg.DagsterRunStatus.CANCELED
            if retrier is not None and status is dg.DagsterRunStatus.FAILURE:
                try:
                    pending = retrier(current, runs[-1])
                except KeyboardInterrupt:
                    interrupted = True
        succeeded = status is dg.DagsterRunStatus.SUCCESS
        reason = "canceled" if interrupted else ""
        results.append(JobResult(request.job, runs[-1], succeeded, reason=reason, earlier=tuple(runs[:-1])))
    return results


def _blocker(request: JobRequest, results: Collection[JobResult]) -> str:
    """Return why a job cannot start, or an empty text."""
    for result in results:
        if result.job in request.after and not result.succeeded:
            return f"{result.job} {'failed' if result.run_id else 'was not started'}"
    return ""


def _execute(
    definitions: dg.Definitions, request: JobRequest, instance: dg.DagsterInstance, run_id: str
) -> dg.DagsterRunStatus:
    parent, tags = request.parent, process_tags(run_id)
    if parent is not None:
        tags = {**retry_decision.retry_tags(parent, request.number or None), **tags}
    config = {**_QUIET, **request.configuration}
    new = NewRun(run_id, config, tags, assets=request.assets, checks=request.checks, parent=parent)
    return execute_job(definitions.resolve_job_def(request.job), instance, new)


@dataclass(frozen=True)
class PolicyRetrier:
    """Waits for and returns the retry of a failed run, as the policy of its schedule group decides.

    The decision is stored in the tags of the failed run, where the retry sensors read it if this process ends.
    ``report`` reads the failure report of a run; ``announce`` is called with a line before the wait.
    """

    instance: dg.DagsterInstance
    policies: retry_decision.RetryPolicies
    report: Callable[[dg.RunRecord], FailureReport]
    announce: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep

    def __call__(self, request: JobRequest, run_id: str) -> JobRequest | None:
        """Return the retry when it is due; None if the run is not retried."""
        record = self.instance.get_run_record_by_id(run_id)
        if record is None:
            return None
        run, report = record.dagster_run, self.report(record)
        retry = retry_decision.decide_retry(report, self.policies.of(run), request.number)
        remaining = find_remaining_work(self.instance, run_id)
        if not remaining:
            retry = Retry("not retried: nothing is left to run")
        store_decision(self.instance, run, report, retry)
        if retry.due is None:
            return None
        self.announce(f"Run {run_id} of {run.job_name} failed: {retry.reason}. Ctrl-C cancels the retry.")
        try:
            self.sleep(max(0.0, retry.due - time.time()))
        except KeyboardInterrupt:
            abandon_retry(self.instance, run_id, "interrupted")
            raise
        return replace(JobRequest.for_remaining(run, remaining), after=request.after, number=request.number + 1)


def make_retrier(location: Location, instance: dg.DagsterInstance, announce: Callable[[str], None]) -> PolicyRetrier:
    """Return the retrier with the policies of a location."""
    repository = location.definitions.get_repository_def()
    report = partial(location.report_reader.read, instance, repository=repository)
    return PolicyRetrier(instance, location.policies, report, announce)
