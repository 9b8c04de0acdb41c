"""Whether and when a failed run is run again, and what stands in its tags about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone

import dagster as dg

from analytics_dagster.automation.jobs import AD_HOC, GROUP_TAG, PROJECT_TAG, RETRIES_TAG
from analytics_dagster.automation.landing_sensor import STARTED_BY
from analytics_dagster.automation.notes import AFTER_INGESTION, SCHEDULED_TIME
from analytics_dagster.automation.retry_policies import RetryPolicy
from analytics_dagster.execution.failures.classification import worst
from analytics_dagster.execution.failures.report import FailureReport, Retry
from analytics_dagster.execution.remaining_work import Leftover
from analytics_dagster.planning.groups import Backoff

SENSOR = "retries_sensor"
"""The name of the sensor that decides about the runs of the location's jobs, and starts their retries."""

AD_HOC_SENSOR = "ad_hoc_retries_sensor"
"""The name of the one that does so for what somebody has materialized in the UI."""

DECISION = "analytics_dagster/retry"
"""The tag of a failed run that says what becomes of it, in words for people."""

DUE = "analytics_dagster/retry_at"
"""The tag of a failed run that says when it is run again; absent where it is not."""

RETRIED_BY = "analytics_dagster/retried_by"
"""The tag of a failed run that names the run which has run it again."""

PARENT, ROOT, NUMBER = "dagster/parent_run_id", "dagster/root_run_id", "dagster/retry_number"
"""The tags by which Dagster knows a retry, its first run, and its number; a test compares them with Dagster's own."""

_FAMILY_TAGS = {
    *(GROUP_TAG, PROJECT_TAG, RETRIES_TAG),
    # What started the first one, on which depends what its success starts.
    *(STARTED_BY, AFTER_INGESTION, SCHEDULED_TIME, "dagster/schedule_name"),
}


def decide(report: FailureReport, policy: RetryPolicy | None, done: int) -> Retry:
    """Return what becomes of a failed run that was retried ``done`` times before. Pure."""
    of = policy.retries if policy else 0
    kinds = (
        [one.kind for one in report.nodes] + [one.kind for one in report.errors] + [one.kind for one in report.steps]
    )
    kind = worst(kinds)
    why = kind.value if kind else "nothing says why it failed"
    if policy is None or of == 0:
        return Retry("not retried: the schedule groups' file asks for no retries of it")
    if kind is None or not kind.is_transient:
        return Retry(f"not retried: it would fail again ({why})", of=of)
    if done >= of:
        return Retry(f"not retried again: {done} of {of} retries are used up ({why})", number=done, of=of)
    due = (report.ended or 0.0) + pause(policy, done + 1)
    clock = datetime.fromtimestamp(due, timezone.utc)
    return Retry(f"retry {done + 1} of {of} at {clock:%H:%M:%S} UTC ({why})", due=due, number=done + 1, of=of)


def pause(policy: RetryPolicy, number: int) -> float:
    """Return how many seconds after a failure the retry of this number, from 1, is due. Pure."""
    factors = {Backoff.CONSTANT: 1, Backoff.LINEAR: number, Backoff.EXPONENTIAL: 2 ** (number - 1)}
    return float(policy.retry_delay * factors[policy.retry_backoff])


def may_be_retried(run: dg.DagsterRun, *, sensor_is_on: bool) -> bool:
    """Return whether a failed run will be run again, as far as anybody knows yet.

    Until that is decided, it may: nobody who waits for the run is to give it up for lost before that. Dagster retries
    some by itself: those whose tags ask for it, or all where its instance says so.
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
    """Return the tags of a failed run that say what becomes of it."""
    due = {} if retry.due is None else {DUE: datetime.fromtimestamp(retry.due, timezone.utc).isoformat()}
    return {DECISION: retry.reason, **due}


def due_at(run: dg.DagsterRun) -> float | None:
    """Return when a failed run is to be run again (seconds since 1970); None where that is not decided, or never."""
    try:
        return datetime.fromisoformat(run.tags[DUE]).timestamp() if DUE in run.tags else None
    except ValueError:
        return None


def number_of(tags: Mapping[str, str], name: str) -> int:
    """Return the number that a tag holds; nothing where it is absent, or holds none."""
    value = tags.get(name, "0")
    return int(value) if value.isdecimal() else 0


def retry_request(run: dg.DagsterRun, leftover: Leftover, number: int) -> dg.RunRequest:
    """Return the request for a run of what another has left, which Dagster and the UI know as its retry. Pure."""
    return dg.RunRequest(
        run_key=f"retry:{run.run_id}",
        job_name=run.job_name,
        run_config=leftover.configuration(run.run_config),
        asset_selection=sorted(leftover.assets),
        asset_check_keys=sorted(leftover.checks),
        tags={**kept_tags(run), PARENT: run.run_id, ROOT: run.tags.get(ROOT, run.run_id), NUMBER: str(number)},
    )


def kept_tags(run: dg.DagsterRun) -> Mapping[str, str]:
    """Return the tags of a run that its retry has too: what is its own, or says what became of it, it has not."""
    return {name: value for name, value in run.tags.items() if name in _FAMILY_TAGS or not _is_systems(name)}


def _is_systems(tag: str) -> bool:
    return tag.startswith(("dagster/", ".dagster/", "analytics_dagster/"))


def with_retry(report: FailureReport, run: dg.DagsterRun) -> FailureReport:
    """Return a report that says what becomes of its run, as far as that is decided."""
    reason = run.tags.get(DECISION)
    return replace(report, retry=Retry(reason, due_at(run))) if reason else report
