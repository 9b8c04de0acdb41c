"""What is left of a run that failed, as what Dagster executes: when somebody asks for it, and by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import dagster as dg

from analytics_dagster.automation.jobs import AD_HOC, INGESTION, PROJECT_TAG
from analytics_dagster.automation.retry_decision import PARENT, RETRIED_BY, RetryPolicies, decide_retry, decision_tags
from analytics_dagster.cli.runs.execution import JobRequest
from analytics_dagster.errors import HomeError
from analytics_dagster.execution.failures.events import attach_report
from analytics_dagster.execution.failures.report import FailureReport, Retry
from analytics_dagster.execution.remaining_work import RemainingWork, find_remaining_work
from analytics_dagster.location import Location

_FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_MOST_LOOKED_AT = 50


def retried_work(
    instance: dg.DagsterInstance, project: str, run_id: str | None
) -> tuple[dg.DagsterRun, JobRequest | None, RemainingWork]:
    """Return the run to retry, what of it is left to do, and that as a work; None where nothing is left.

    Without an id it is the last run of the project that failed, or was canceled, and was not run again since. Raises
    `HomeError` where there is none, or it goes on.
    """
    run = _named(instance, run_id) if run_id else _last(instance, project)
    remaining = find_remaining_work(instance, run.run_id)
    if not remaining:
        return run, None, remaining
    return run, _work(run, remaining), remaining


@dataclass(frozen=True)
class Retrier:
    """Says what a command line runs again of what it has started, as the schedule groups' file asks, and waits for it.

    ``report`` reads the report of a run, and ``tell`` is called with a line before it waits. What was decided stands in
    the tags of the run that failed, where the sensors look that would retry it if this process ended.
    """

    instance: dg.DagsterInstance
    policies: RetryPolicies
    report: Callable[[dg.RunRecord], FailureReport]
    tell: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep

    def __call__(self, work: JobRequest, run_id: str) -> JobRequest | None:
        """Return what is left of a failed run of a work, once it is due; None where it is not run again."""
        record = self.instance.get_run_record_by_id(run_id)
        if record is None:
            return None
        run = record.dagster_run
        report = self.report(record)
        retry = decide_retry(report, self.policies.of(run), work.number)
        remaining = find_remaining_work(self.instance, run_id)
        if not remaining:
            retry = Retry("not retried: nothing of it is left to do")
        attach_report(self.instance, run, replace(report, retry=retry))
        self._note(run_id, retry)
        if retry.due is None:
            return None
        self.tell(f"Run {run_id} of {run.job_name} failed: {retry.reason}; Ctrl-C leaves it.")
        try:
            self.sleep(max(0.0, retry.due - time.time()))
        except KeyboardInterrupt:
            self._note(run_id, Retry("not retried: interrupted"))
            self.instance.add_run_tags(run_id, {RETRIED_BY: ""})
            raise
        return replace(_work(run, remaining), after=work.after, number=work.number + 1)

    def _note(self, run_id: str, retry: Retry) -> None:
        self.instance.add_run_tags(run_id, dict(decision_tags(retry)))


def make_retrier(location: Location, instance: dg.DagsterInstance, tell: Callable[[str], None]) -> Retrier:
    """Return what runs again what a command line has started of a location."""
    repository = location.definitions.get_repository_def()
    report = partial(location.report_reader.read, instance, repository=repository)
    return Retrier(instance, location.policies, report, tell)


def _work(run: dg.DagsterRun, remaining: RemainingWork) -> JobRequest:
    configuration = remaining.configuration(run.run_config)
    return JobRequest(run.job_name, remaining.assets, remaining.checks, configuration=configuration, parent=run)


def _named(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    run = instance.get_run_by_id(run_id)
    if run is None:
        raise HomeError(
            f"There is no run {run_id} in this Dagster home.", remedy="Name one by its whole id, or none for the last."
        )
    if not run.is_finished:
        raise HomeError(f"The run {run_id} goes on.", remedy="Wait for its end, or cancel it.")
    return run


def _last(instance: dg.DagsterInstance, project: str) -> dg.DagsterRun:
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=_FAILED), limit=_MOST_LOOKED_AT):
        ours = run.tags.get(PROJECT_TAG) == project or run.job_name in {INGESTION, AD_HOC}
        if ours and not instance.get_runs(filters=dg.RunsFilter(tags={PARENT: run.run_id}), limit=1):
            return run
    raise HomeError("No run has failed that was not run again since.", remedy="Name a run by its id, if one is meant.")
