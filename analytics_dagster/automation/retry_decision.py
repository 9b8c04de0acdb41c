"""Decides whether and when a failed run is retried, by its policy, and how its tags say so. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TypeAlias

import dagster as dg

from analytics_dagster.automation.jobs import AD_HOC, INGESTION, RETRIES_TAG, STARTED_BY
from analytics_dagster.automation.pending_run_store import AFTER_INGESTION, SCHEDULE_NAME, SCHEDULED_TIME
from analytics_dagster.execution.failures.classification import worst
from analytics_dagster.execution.failures.report import FailedCheck, FailedNode, FailedStep, FailureReport, Retry
from analytics_dagster.execution.remaining_work import RemainingWork
from analytics_dagster.planning.groups import GROUP_TAG, PROJECT_TAG, Backoff, IngestionRuns, ScheduleGroup

RETRIES_SENSOR = "retries_sensor"
"""The name of the sensor that retries runs of the location's jobs."""

AD_HOC_SENSOR = "ad_hoc_retries_sensor"
"""The name of the sensor that retries runs of assets that somebody materialized in the UI."""

DECISION = "analytics_dagster/retry"
"""The tag of a failed run that says, for people, whether and when it is retried."""

DUE = "analytics_dagster/retry_at"
"""The tag of a failed run that says when it is retried; absent if it is not."""

RETRIED_BY = "analytics_dagster/retried_by"
"""The tag of a failed run that names its retry."""

PARENT, ROOT, NUMBER = "dagster/parent_run_id", "dagster/root_run_id", "dagster/retry_number"
"""Dagster's tags of a retry: the run that it retries, the first run, and its number; a test compares the names."""

_COPIED_TAGS = {
    *(GROUP_TAG, PROJECT_TAG, RETRIES_TAG),
    # They say what started the first run, which decides what a success starts.
    *(STARTED_BY, AFTER_INGESTION, SCHEDULED_TIME, SCHEDULE_NAME),
}


_RESTARTS = 3
"""How often a run that never started is requested again, for example because the code server was down."""

RetryPolicy: TypeAlias = ScheduleGroup | IngestionRuns
"""What has retry settings: ``retries``, ``retry_delay`` (seconds) and ``retry_backoff``."""


@dataclass(frozen=True)
class RetryPolicies:
    """The policies of a location: of its schedule groups by name, and of ingestion.

    ``assets`` maps each asset of the location's jobs to the name of its schedule group, or to ingestion's.
    """

    groups: Mapping[str, ScheduleGroup]
    ingestion: IngestionRuns
    assets: Mapping[dg.AssetKey, str]

    def of(self, run: dg.DagsterRun) -> RetryPolicy | None:
        """Return the policy of a run; None if it has none.

        A run that somebody started in the UI may have assets of several groups: it gets the fewest retries of them.
        """
        policies: Mapping[str, RetryPolicy] = {**self.groups, INGESTION: self.ingestion}
        if GROUP_TAG in run.tags or run.job_name == INGESTION:
            return policies.get(run.tags.get(GROUP_TAG, INGESTION))
        assets = {*(run.asset_selection or ()), *(check.asset_key for check in run.asset_check_selection or ())}
        found = [policies[self.assets[asset]] for asset in assets if asset in self.assets]
        return min(found, key=lambda policy: policy.retries, default=None)


def decide_retry(report: FailureReport, policy: RetryPolicy | None, done: int) -> Retry:
    """Return whether and when a failed run is retried that was retried ``done`` times before."""
    # Without a start there is nothing to repeat: whatever the group's retries, the run is not lost.
    never_started = report.started is None and not (report.nodes or report.checks)
    of = max(policy.retries, _RESTARTS if never_started else 0) if policy else 0
    failures: list[FailedNode | FailedCheck | FailedStep] = [*report.nodes, *report.errors, *report.steps]
    kind = worst([failure.kind for failure in failures])
    why = f"{kind.value if kind else 'unknown failure'}{'; it never started' if never_started and kind else ''}"
    if policy is None or of == 0:
        return Retry("not retried: the schedule groups file sets no retries for it")
    if kind is None or not kind.is_transient:
        return Retry(f"not retried: it would fail again ({why})", of=of)
    if done >= of:
        return Retry(f"not retried: all {of} retries are used ({why})", number=done, of=of)
    due = (report.ended or 0.0) + retry_delay(policy, done + 1)
    clock = datetime.fromtimestamp(due, timezone.utc)
    return Retry(f"retry {done + 1} of {of} at {clock:%H:%M:%S} UTC ({why})", due=due, number=done + 1, of=of)


def retry_delay(policy: RetryPolicy, number: int) -> float:
    """Return how many seconds after the failure the retry of this number (from 1) starts."""
    factors = {Backoff.CONSTANT: 1, Backoff.LINEAR: number, Backoff.EXPONENTIAL: 2 ** (number - 1)}
    return float(policy.retry_delay * factors[policy.retry_backoff])


def may_be_retried(run: dg.DagsterRun, *, sensor_is_on: bool) -> bool:
    """Return whether a failed run is or may be retried; True while that is not decided.

    Dagster itself retries a run if its tags or the instance's settings ask for it.
    """
    tags = run.tags
    if run.is_complete_and_waiting_to_retry:
        return True
    if run.status is not dg.DagsterRunStatus.FAILURE or RETRIED_BY in tags or not sensor_is_on:
        return False
    if DECISION in tags:
        return DUE in tags
    return run.job_name == AD_HOC or number_of(tags, NUMBER) < number_of(tags, RETRIES_TAG)


def decision_tags(retry: Retry) -> Mapping[str, str]:
    """Return the tags that store a decision on the failed run."""
    due = {} if retry.due is None else {DUE: datetime.fromtimestamp(retry.due, timezone.utc).isoformat()}
    return {DECISION: retry.reason, **due}


def due_at(run: dg.DagsterRun) -> float | None:
    """Return when a failed run is retried (seconds since 1970); None if it is not, or that is not decided yet."""
    try:
        return datetime.fromisoformat(run.tags[DUE]).timestamp() if DUE in run.tags else None
    except ValueError:
        return None


def number_of(tags: Mapping[str, str], name: str) -> int:
    """Return the number in a tag; 0 if the tag is absent or no number."""
    value = tags.get(name, "0")
    return int(value) if value.isdecimal() else 0


def retry_request(run: dg.DagsterRun, remaining: RemainingWork, number: int) -> dg.RunRequest:
    """Return the request for a run of the remaining work of another, which Dagster and the UI show as its retry."""
    return dg.RunRequest(
        run_key=f"retry:{run.run_id}",
        job_name=run.job_name,
        run_config=remaining.configuration(run.run_config),
        asset_selection=sorted(remaining.assets),
        asset_check_keys=sorted(remaining.checks),
        tags=retry_tags(run, number),
    )


def retry_tags(run: dg.DagsterRun, number: int | None) -> Mapping[str, str]:
    """Return the tags of a retry of a run; ``number`` is None for a retry by hand."""
    numbered = {} if number is None else {NUMBER: str(number)}
    # Other tags of the system describe the run itself or its result.
    system = ("dagster/", ".dagster/", "analytics_dagster/")
    copied = {name: value for name, value in run.tags.items() if name in _COPIED_TAGS or not name.startswith(system)}
    return {**copied, PARENT: run.run_id, ROOT: run.tags.get(ROOT, run.run_id), **numbered}


def with_retry(report: FailureReport, run: dg.DagsterRun) -> FailureReport:
    """Return a report with the retry decision in the run's tags, if there is one."""
    reason = run.tags.get(DECISION)
    return replace(report, retry=Retry(reason, due_at(run))) if reason else report
