"""Checks that code locations are loaded, that runs leave the queue, and that pending runs start.

Everything is read from Dagster's storage. That does not hold the error of a location that can't be loaded, but such a
location has no ticks any more.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import dagster as dg

from analytics_dagster.alerting.incidents import Alert, Observation, Severity
from analytics_dagster.automation.overdue_runs import OverdueRun
from analytics_dagster.execution.failures.classification import FailureKind
from analytics_dagster.text import format_duration

_CHECKPOINT = 7_200.0
"""In how many seconds the daemon stores that it has evaluated a schedule without a tick: an hour and some minutes."""

_OF_ANOTHER_DAEMON = {"AUTOMATION", "AUTO_MATERIALIZE"}
"""The types of sensors that the daemon of automation conditions evaluates."""

WAITING = ":waiting"
"""What follows the name of a job in the subject of an alert about its waiting runs."""

_QUEUE = "queue"
_NOT_LOADED = "no code location"


@dataclass(frozen=True)
class Watch:
    """One check: its time, and when the first one was, in seconds since 1970.

    ``tolerance`` is for how many seconds nothing may happen, ``limit`` for how many seconds a run may wait for others.
    """

    now: float
    tolerance: float
    limit: float
    began: float


@dataclass(frozen=True)
class Instigator:
    """A sensor or schedule that is on; ``last`` is when the daemon last evaluated it, in seconds since 1970."""

    location: str
    kind: str
    name: str
    last: float
    interval: float = 0.0

    def is_silent(self, moment: float, tolerance: float) -> bool:
        """Return whether it was not evaluated any more at a moment."""
        expected = _CHECKPOINT if self.kind == "schedule" else 2 * self.interval
        return moment - self.last > expected + tolerance


@dataclass(frozen=True)
class QueuedRun:
    """A run in the queue; ``since`` is in seconds since 1970."""

    run_id: str
    job: str
    since: float


def observe_health(
    instance: dg.DagsterInstance, watch: Watch, known: Collection[str], load_error: Callable[[], str]
) -> list[Observation]:
    """Return the state of the code locations and of the queue, for a daemon that sends heartbeats.

    ``known`` are the subjects of open incidents.
    """
    queued, in_progress = read_queue(instance)
    locations = observe_locations(read_instigators(instance), watch, load_error)
    present = locations.succeeded.union(*(alert.subjects for alert in locations.alerts))
    gone = frozenset(subject for subject in known if subject.startswith(_subject("")) and subject not in present)
    return [replace(locations, gone=gone), observe_queue(queued, watch, in_progress=in_progress)]


def read_instigators(instance: dg.DagsterInstance) -> list[Instigator]:
    """Return the sensors and schedules of all locations that are on."""
    states = [one for one in instance.all_instigator_state() if one.status.value != "STOPPED"]
    return [one for state in states if (one := _to_instigator(instance, state)) is not None]


def _to_instigator(instance: dg.DagsterInstance, state: Any) -> Instigator | None:
    data, kind = state.instigator_data, state.instigator_type.value.lower()
    automation = getattr(getattr(data, "sensor_type", None), "value", "") in _OF_ANOTHER_DAEMON
    if kind not in {"sensor", "schedule"} or data is None or automation:
        return None
    location = state.origin.repository_origin.code_location_origin.location_name
    if kind == "sensor":
        moments = [data.last_tick_timestamp, data.last_tick_start_timestamp, data.last_sensor_start_timestamp]
    else:
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        moments = [data.start_timestamp, data.last_iteration_timestamp, *(tick.timestamp for tick in ticks)]
    last = max((moment for moment in moments if moment), default=None)
    interval = float(getattr(data, "min_interval", None) or 0.0)
    return None if last is None else Instigator(location, kind, state.instigator_name, last, interval)


def read_queue(instance: dg.DagsterInstance) -> tuple[list[QueuedRun], bool]:
    """Return the queued runs, oldest first, and whether any run is in progress."""
    queued = instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]), ascending=True)
    running = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    in_progress = bool(instance.get_runs(filters=dg.RunsFilter(statuses=running), limit=1))
    runs = [(record.dagster_run, record.create_timestamp.timestamp()) for record in queued]
    return [QueuedRun(run.run_id, run.job_name, since) for run, since in runs], in_progress


def observe_locations(instigators: Iterable[Instigator], watch: Watch, load_error: Callable[[], str]) -> Observation:
    """Return one alert for each code location whose sensors or schedules are not evaluated. Pure.

    Without any sensor or schedule, no location has been loaded since the watch began. ``load_error`` is called only if
    a location seems not to be loaded, and returns the reason if it finds one.
    """
    by_location: dict[str, list[Instigator]] = defaultdict(list)
    for one in instigators:
        by_location[one.location].append(one)
    alerts, now = list[Alert](), watch.now
    for location, members in sorted(by_location.items()):
        sensors = [one for one in members if one.kind == "sensor"]
        latest = max(sensors or members, key=lambda one: one.last)
        # Single ones are compared with the others: those with a short interval are silent first.
        moment = latest.last if sensors else now
        silent = [one for one in members if one.is_silent(moment, watch.tolerance)]
        if latest.is_silent(now, watch.tolerance):
            title = f"code location {location} has no ticks for {format_duration(now - latest.last)}"
            message = f"{_UNLOADED} {load_error()}".rstrip()
            alerts.append(_alert(location, title, message, Severity.CRITICAL, now))
        elif silent:
            title = f"code location {location}: some sensors or schedules are not evaluated"
            names = ", ".join(f"{one.kind} {one.name}" for one in silent)
            alerts.append(_alert(location, title, f"{names}. {_UNLOADABLE}", Severity.ERROR, now))
    if not by_location and now - watch.began > watch.tolerance:
        message = f"Dagster's daemon runs, but it knows no sensor and no schedule. {_UNLOADED} {load_error()}".rstrip()
        alerts.append(_alert(_NOT_LOADED, "no code location has been loaded", message, Severity.CRITICAL, now))
    failed = {subject for alert in alerts for subject in alert.subjects}
    return Observation(now, tuple(alerts), frozenset(map(_subject, [*by_location, _NOT_LOADED])) - failed)


_UNLOADED = (
    "The daemon runs, so the location probably can't be loaded, and nothing in it starts. "
    "The UI shows the error, in Deployment."
)
_UNLOADABLE = "They may have been removed from the code while they were on: turn them off in the UI, in Automation."


def _subject(location: str) -> str:
    return f"location:{location}"


def _alert(location: str, title: str, message: str, severity: Severity, now: float) -> Alert:
    subject = _subject(location)
    return Alert(subject, title, FailureKind.CODE, severity, now, message, (subject,))


def observe_queue(queued: Sequence[QueuedRun], watch: Watch, *, in_progress: bool) -> Observation:
    """Return an alert if the oldest queued run waits too long: sooner if no run is in progress. Pure."""
    now = watch.now
    oldest = min(queued, key=lambda one: one.since, default=None)
    if oldest is None or now - oldest.since <= (watch.limit if in_progress else watch.tolerance):
        return Observation(now, succeeded=frozenset({_QUEUE}))
    waits = format_duration(now - oldest.since)
    title = f"run {oldest.run_id[:8]} of {oldest.job} has been in the queue for {waits}"
    why = "other runs are in progress" if in_progress else "no run is in progress"
    message = f"{len(queued)} runs are queued, and {why}. {_STUCK}"
    severity = Severity.ERROR if in_progress else Severity.CRITICAL
    return Observation(now, (Alert(_QUEUE, title, FailureKind.TIMEOUT, severity, now, message, (_QUEUE,)),))


_STUCK = (
    "In the UI, the run's page shows what blocks it: a limit of the queue, or its code location. "
    "Terminate a run that hangs."
)


def observe_overdue(overdue: Iterable[OverdueRun], names: Iterable[str], limit: timedelta) -> Observation:
    """Return an alert for each group whose run waits for longer than a limit; ``names`` are all groups."""
    alerts, now = list[Alert](), time.time()
    for one in overdue:
        subject, since = f"job:{one.group}{WAITING}", f"{one.since:%Y-%m-%d %H:%M} UTC"
        title = f"a run of {one.group} has been waiting for more than {limit / timedelta(hours=1):g} h"
        message = f"Since {since}: {one.reason}."
        moment = (one.since + limit).timestamp()
        alert = Alert(subject, title, FailureKind.TIMEOUT, Severity.ERROR, moment, message, (subject,))
        alerts.append(replace(alert, groups=(one.group,)))
    failed = {subject for alert in alerts for subject in alert.subjects}
    return Observation(now, tuple(alerts), frozenset(f"job:{name}{WAITING}" for name in names) - failed)
