"""Messages that are not about an incident: the daily summary, a successful run, a slow run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone

import dagster as dg

from analytics_dagster.alerting.content import Content, Section, bullets
from analytics_dagster.alerting.incidents import IncidentEvent, Severity
from analytics_dagster.alerting.store import AlertState
from analytics_dagster.execution.failures.report import FailureReport
from analytics_dagster.planning.cron import next_ticks
from analytics_dagster.planning.groups import ScheduleGroup
from analytics_dagster.text import format_duration, pluralize

ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)

_WORDS = ("succeeded", "failed", "canceled")
_SLOWEST = 3
_SEARCHED = 20
_LATE = 3_600.0
_SLOW_BY, _SLOW_TIMES = 300.0, 2.0
"""A run is slow if it took this many seconds longer than usual, and this many times as long."""


def read_summary(
    instance: dg.DagsterInstance,
    owns: Callable[[dg.DagsterRun], bool],
    groups: Iterable[ScheduleGroup],
    state: AlertState,
    since: float,
    now: float,
) -> Content:
    """Return the summary of a location's runs and incidents since a moment, and of the age of each group's results."""
    after = datetime.fromtimestamp(since, timezone.utc)
    records = instance.get_run_records(dg.RunsFilter(statuses=list(ENDED), updated_after=after))
    runs = [one for one in records if owns(one.dagster_run) and (one.end_time or 0.0) > since]
    freshness = []
    for group in groups:
        succeeded = dg.RunsFilter(job_name=group.name, statuses=[dg.DagsterRunStatus.SUCCESS])
        records = instance.get_run_records(succeeded, limit=_SEARCHED)
        ends = (one.end_time for one in records if one.end_time and owns(one.dagster_run))
        freshness.append(describe_freshness(group, max(ends, default=None), now))
    return summarize(state, runs, freshness, since, now)


def summarize(
    state: AlertState, runs: Sequence[dg.RunRecord], freshness: Sequence[str], since: float, now: float
) -> Content:
    """Return the summary of the runs that ended since a moment, and of the incidents. Pure."""
    jobs = {
        status: Counter(one.dagster_run.job_name for one in runs if one.dagster_run.status is status)
        for status in ENDED
    }
    total = ", ".join(f"{found.total()} {word}" for found, word in zip(jobs.values(), _WORDS, strict=True) if found)
    failed, is_open = jobs[dg.DagsterRunStatus.FAILURE], [one for one in state.incidents if one.is_open]
    took = [((one.end_time or 0.0) - one.start_time, one.dagster_run.job_name) for one in runs if one.start_time]
    ended = [text for moment, text in state.ended if moment > since]
    lost = sum(one.moment > since for one in state.undeliverable)
    lists = {
        "Failed": [f"{job}: {pluralize(number, 'run')}" for job, number in failed.items()],
        "Open incidents": [f"{one.name} (for {format_duration(now - one.opened)})" for one in is_open],
        "Ended incidents": ended,
        "Slowest": [f"{job}: {format_duration(seconds)}" for seconds, job in sorted(took, reverse=True)[:_SLOWEST]],
        "Freshness": freshness,
    }
    fields = {"runs": total or "none", "incidents": f"{len(is_open)} open, {len(ended)} ended"}
    fields |= {"undeliverable notifications": str(lost)} if lost else {}
    what = f"{pluralize(failed.total(), 'run')} failed" if failed else "nothing failed"
    headline = f"Daily summary: {pluralize(len(runs), 'run')}, {what}, {pluralize(len(is_open), 'open incident')}"
    sections = tuple(Section(title, bullets(lines)) for title, lines in lists.items() if lines)
    return Content(IncidentEvent.SUMMARY, Severity.WARN, headline, tuple(fields.items()), sections)


def describe_freshness(group: ScheduleGroup, last: float | None, now: float) -> str:
    """Return how old the last successful run of a group is, and whether a later one is an hour late. Pure."""
    if last is None:
        return f"{group.name}: no successful run yet"
    due = next(iter(next_ticks(group, datetime.fromtimestamp(last, timezone.utc), 1)), None)
    is_late = due is not None and due.timestamp() + _LATE < now
    return f"{group.name}: last success {format_duration(now - last)} ago{', late' if is_late else ''}"


def announce_success(report: FailureReport) -> Content:
    """Return the message about a successful run. Pure."""
    duration = format_duration(report.seconds or 0.0)
    usual = "" if report.usual is None else f" (usually {format_duration(report.usual)})"
    counts = f"{pluralize(len(report.built), 'asset')} built, {pluralize(len(report.passed), 'check')} passed"
    fields = (("job", report.job), ("duration", duration + usual), ("results", counts))
    headline = f"{report.job} succeeded in {duration}"
    return Content(IncidentEvent.SUCCEEDED, Severity.WARN, headline, fields, links=_links(report))


def slow_run(report: FailureReport) -> Content | None:
    """Return the remark that a successful run took much longer than usual, or None. Pure."""
    took, usual = report.seconds or 0.0, report.usual
    if report.status != "SUCCESS" or usual is None or took <= max(usual * _SLOW_TIMES, usual + _SLOW_BY):
        return None
    headline = f"{report.job} took {format_duration(took)}, usually {format_duration(usual)}"
    return Content(None, Severity.WARN, headline, links=_links(report))


def _links(report: FailureReport) -> tuple[tuple[str, str], ...]:
    return (("Open the run", report.url),) if report.url else ()
