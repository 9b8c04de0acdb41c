"""Observes sensors and schedules: failed ticks, and schedules that missed a tick."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import dagster as dg

from analytics_dagster.alerting.incidents import Alert, Observation, Severity
from analytics_dagster.automation.landing_cursor import SENSOR as LANDING_SENSOR
from analytics_dagster.automation.landing_cursor import LandingCursor, RequestedTable
from analytics_dagster.execution.failures.classification import FailureKind, classify
from analytics_dagster.planning.cron import next_ticks
from analytics_dagster.planning.groups import ScheduleGroup
from analytics_dagster.redaction import redact, useful_lines
from analytics_dagster.text import join_names

SENSOR = "alerts_sensor"

LATE = timedelta(minutes=15)
"""How late a schedule may tick: after downtime the daemon catches up on missed ticks."""

_MISSED = "Dagster's daemon or its scheduler may be down, or the code location cannot be loaded."


@dataclass(frozen=True)
class InstigatorTick:
    """The last finished tick of a sensor or schedule (``kind``).

    ``moment`` is when it was due, None before the first tick; ``cursor`` is a sensor's.
    """

    kind: str
    name: str
    is_on: bool
    moment: float | None
    failed: bool = False
    error: str = ""
    on_since: float = 0.0
    cursor: str = ""

    @property
    def subject(self) -> str:
        """The subject of its alerts."""
        return f"{self.kind}:{self.name}"


def read_ticks(instance: dg.DagsterInstance, location: str | None, names: Iterable[str]) -> list[InstigatorTick]:
    """Return the last finished tick of each named sensor and schedule of a location that the daemon knows."""
    known, found = set(names), []
    for state in instance.all_instigator_state() if known else ():
        origin = state.origin.repository_origin.code_location_origin
        if state.instigator_name in known and location in (None, origin.location_name):
            ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=2)
            # The statuses are compared by value, as their enumerations are private.
            finished = [tick for tick in ticks if tick.status.value != "STARTED"]
            found.append(_to_tick(state, finished[0] if finished else None))
    return found


def _to_tick(state: Any, last: Any) -> InstigatorTick:
    failed = last is not None and last.status.value == "FAILURE"
    return InstigatorTick(
        kind=state.instigator_type.value.lower(),
        name=state.instigator_name,
        is_on=state.status.value != "STOPPED",
        moment=last.timestamp if last else None,
        failed=failed,
        error=last.error.message if failed and last.error else "",
        on_since=getattr(state.instigator_data, "start_timestamp", None) or 0.0,
        cursor=getattr(state.instigator_data, "cursor", None) or "",
    )


def observe_ticks(
    ticks: Sequence[InstigatorTick],
    schedules: Mapping[str, ScheduleGroup],
    *,
    began: float,
    now: float,
    secrets: Iterable[str] = (),
) -> Observation:
    """Return the alerts of the last ticks. Pure.

    ``schedules`` maps the names of schedules to their groups. Ticks that were due before ``began`` are ignored.
    """
    alerts, succeeded = [], set[str]()
    for tick in ticks:
        fired = f"{tick.subject}:fired"
        if not tick.is_on:
            # An incident ends when its sensor or schedule is turned off.
            succeeded |= {tick.subject, fired}
            continue
        if tick.failed:
            title, message = f"{tick.kind} {tick.name} failed", useful_lines(redact(tick.error, secrets))
            alerts.append(_alert(tick.subject, title, classify(tick.error), tick.moment or now, message, tick.subject))
        elif tick.moment is not None:
            succeeded.add(tick.subject)
        group = schedules.get(tick.name)
        missed = _missed(tick, group, began, now) if group else None
        if group and missed:
            title = f"schedule {tick.name} missed its tick of {missed.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"
            alert = _alert(f"{tick.subject}:missed", title, FailureKind.CODE, missed.timestamp(), _MISSED, fired)
            alerts.append(replace(alert, groups=(group.name,)))
        elif tick.kind == "schedule":
            succeeded.add(fired)
        if tick.name == LANDING_SENSOR:
            stuck = LandingCursor.from_text(tick.cursor).stuck
            alerts += [_not_loaded(stuck, f"{tick.subject}:files", fired)] if stuck else []
            succeeded |= set() if stuck else {fired}
    return Observation(now, tuple(alerts), frozenset(succeeded))


def _alert(key: str, title: str, kind: FailureKind, moment: float, message: str, subject: str) -> Alert:
    return Alert(key, title, kind, Severity.ERROR, moment, message, (subject,))


def _not_loaded(stuck: Mapping[str, RequestedTable], key: str, subject: str) -> Alert:
    names = {unique_id: ".".join(unique_id.split(".")[-2:]) for unique_id in stuck}
    title = f"files of {join_names([*names.values()])} are still not loaded"
    message = "\n".join([one.describe(names[unique_id]) for unique_id, one in stuck.items()])
    return _alert(key, title, FailureKind.CODE, max(one.since for one in stuck.values()), message, subject)


def _missed(tick: InstigatorTick, group: ScheduleGroup, began: float, now: float) -> datetime | None:
    """Return the first overdue tick, or None."""
    last = max(began, tick.on_since, tick.moment or 0.0)
    due = next(iter(next_ticks(group, datetime.fromtimestamp(last, timezone.utc), 1)), None)
    return due if due and due.timestamp() + LATE.total_seconds() < now else None


def instigator_names(repository: dg.RepositoryDefinition) -> tuple[str, ...]:
    """Return the names of all sensors and schedules of a location; the alerts sensor cannot report itself."""
    names = [*(one.name for one in repository.sensor_defs), *(one.name for one in repository.schedule_defs)]
    return tuple(name for name in names if name != SENSOR)
