"""Messages that are not about an incident: the daily summary, a successful run, a slow run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
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

_SLOWEST = 3
_SEARCHED = 20
_LATE = 3_600.0
_SLOW_BY, _SLOW_TIMES = 300.0, 2.0
"""A run is slow if it took this many seconds longer than usual, and this many times as long."""


def read_ended(
    instance: dg.DagsterInstance, owns: Callable[[dg.DagsterRun], bool], since: float
) -> Sequence[dg.RunRecord]:
    """Return a location's runs that ended after a moment."""
    after = datetime.fromtimestamp(since, timezone.utc)
    records = instance.get_run_records(dg.RunsFilter(statuses=list(ENDED), updated_after=after))
    return [one for one in records if owns(one.dagster_run) and (one.end_time or 0.0) > since]


def read_freshness(
    instance: dg.DagsterInstance, owns: Callable[[dg.DagsterRun], bool], groups: Iterable[ScheduleGroup]
) -> Mapping[str, tuple[ScheduleGroup, float | None]]:
    """Return each group with the end of its last successful run; None if the last ones have none."""
    found: dict[str, tuple[ScheduleGroup, float | None]] = {}
    for group in groups:
        succeeded = dg.RunsFilter(job_name=group.name, statuses=[dg.DagsterRunStatus.SUCCESS])
        records = instance.get_run_records(succeeded, limit=_SEARCHED)
        ends = (one.end_time for one in records if one.end_time and owns(one.dagster_run))
        found[group.name] = group, max(ends, default=None)
    return found


def summarize(
    state: AlertState,
    runs: Sequence[dg.RunRecord],
    freshness: Mapping[str, tuple[ScheduleGroup, float | None]],
    since: float,
    now: float,
) -> Content:
    """Return the summary of the runs that ended since a moment, and of the incidents. Pure."""
    counts = Counter(one.dagster_run.status for one in runs)
    failed = Counter(one.dagster_run.job_name for one in runs if one.dagster_run.status is dg.DagsterRunStatus.FAILURE)
    took = [(one.dagster_run.job_name, (one.end_time or 0.0) - one.start_time) for one in runs if one.start_time]
    slowest = sorted(took, key=lambda one: -one[1])[:_SLOWEST]
    is_open = [one for one in state.incidents if one.is_open]
    ended = [text for moment, text in state.ended if moment > since]
    lost = sum(one.moment > since for one in state.undeliverable)
    words = {ENDED[0]: "succeeded", ENDED[1]: "failed", ENDED[2]: "canceled"}
    total = ", ".join(f"{counts[status]} {word}" for status, word in words.items() if counts[status])
    lists = {
        "Failed": [f"{job}: {pluralize(number, 'run')}" for job, number in failed.items()],
        "Open incidents": [f"{one.name} (for {format_duration(now - one.opened)})" for one in is_open],
        "Ended incidents": ended,
        "Slowest": [f"{job}: {format_duration(seconds)}" for job, seconds in slowest],
        "Freshness": [_freshness(name, *one, now) for name, one in freshness.items()],
    }
    undeliverable = [("undeliverable notifications", str(lost))] if lost else []
    what = f"{pluralize(counts[ENDED[1]], 'run')} failed" if failed else "nothing failed"
    return Content(
        IncidentEvent.SUMMARY,
        Severity.WARN,
        f"Daily summary: {pluralize(len(runs), 'run')}, {what}, {pluralize(len(is_open), 'open incident')}",
        fields=(("runs", total or "none"), ("incidents", f"{len(is_open)} open, {len(ended)} ended"), *undeliverable),
        sections=tuple(Section(title, bullets(lines)) for title, lines in lists.items() if lines),
    )


def _freshness(name: str, group: ScheduleGroup, last: float | None, now: float) -> str:
    if last is None:
        return f"{name}: no successful run yet"
    due = next(iter(next_ticks(group, datetime.fromtimestamp(last, timezone.utc), 1)), None)
    is_late = due is not None and due.timestamp() + _LATE < now
    return f"{name}: last success {format_duration(now - last)} ago{', late' if is_late else ''}"


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
