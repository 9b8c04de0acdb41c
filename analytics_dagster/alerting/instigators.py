"""Sensors and schedules that fail at their ticks, and schedules that should have ticked and did not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import dagster as dg

from analytics_dagster.alerting.incidents import Alert, Observation, Severity
from analytics_dagster.execution.failures.classification import FailureKind, classify
from analytics_dagster.planning.cron import next_ticks
from analytics_dagster.planning.groups import ScheduleGroup
from analytics_dagster.redaction import redact, useful_lines

LATE = timedelta(minutes=15)
"""How late a schedule's tick may be: after it was down the daemon makes up for what it missed."""


@dataclass(frozen=True)
class InstigatorTick:
    """How the last tick of a sensor or schedule came out, as far as one has come out; ``moment`` is when it was due."""

    name: str
    is_schedule: bool
    is_on: bool
    moment: float | None
    failed: bool = False
    error: str = ""
    on_since: float = 0.0


def read_ticks(instance: dg.DagsterInstance, location: str | None, names: Iterable[str]) -> list[InstigatorTick]:
    """Return the last finished tick of each sensor and schedule of a location that the daemon knows."""
    known = set(names)
    found = []
    for state in instance.all_instigator_state():
        origin = state.origin.repository_origin.code_location_origin
        if state.instigator_name in known and location in (None, origin.location_name):
            ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=2)
            found.append(_tick(state, [tick for tick in ticks if tick.status.value != "STARTED"]))
    return found


def _tick(state: Any, ticks: Sequence[Any]) -> InstigatorTick:
    # By their values: the enumerations have no public names.
    last = ticks[0] if ticks else None
    failed = last is not None and last.status.value == "FAILURE"
    return InstigatorTick(
        name=state.instigator_name,
        is_schedule=state.instigator_type.value == "SCHEDULE",
        is_on=state.status.value != "STOPPED",
        moment=last.timestamp if last else None,
        failed=failed,
        error=last.error.message if failed and last is not None and last.error else "",
        on_since=getattr(state.instigator_data, "start_timestamp", None) or 0.0,
    )


def observe_ticks(
    ticks: Sequence[InstigatorTick],
    schedules: Mapping[str, ScheduleGroup],
    *,
    began: float,
    now: float,
    secrets: Iterable[str] = (),
) -> Observation:
    """Return what the last ticks come to. Pure.

    ``schedules`` are the groups of the schedules by their names; ``began`` is since when anybody looks: what was due
    before is no news.
    """
    alerts, green = [], set[str]()
    for tick in ticks:
        subject = f"{'schedule' if tick.is_schedule else 'sensor'}:{tick.name}"
        if not tick.is_on:
            # Somebody has turned it off: then it is not to be missed.
            green |= {subject, f"{subject}:fired"}
            continue
        if tick.failed:
            alerts.append(_failed(tick, subject, now, list(secrets)))
        elif tick.moment is not None:
            green.add(subject)
        missed = _missed(tick, schedules[tick.name], began, now) if tick.name in schedules else None
        if missed:
            alerts.append(_not_fired(tick, subject, missed, schedules[tick.name]))
        elif tick.is_schedule:
            green.add(f"{subject}:fired")
    return Observation(now, tuple(alerts), frozenset(green))


def _failed(tick: InstigatorTick, subject: str, now: float, secrets: Sequence[str]) -> Alert:
    what = "schedule" if tick.is_schedule else "sensor"
    return Alert(
        key=subject,
        title=f"{what} {tick.name} fails",
        kind=classify(tick.error),
        severity=Severity.ERROR,
        moment=tick.moment or now,
        message=useful_lines(redact(tick.error, secrets)),
        subjects=(subject,),
    )


def _not_fired(tick: InstigatorTick, subject: str, missed: datetime, group: ScheduleGroup) -> Alert:
    due = f"{missed.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"
    return Alert(
        key=f"{subject}:missed",
        title=f"schedule {tick.name} did not fire at {due}",
        kind=FailureKind.CODE,
        severity=Severity.ERROR,
        moment=missed.timestamp(),
        message="Dagster's daemon, or its scheduler, may be down; or the code location can't be loaded.",
        subjects=(f"{subject}:fired",),
        groups=(group.name,),
    )


def _missed(tick: InstigatorTick, group: ScheduleGroup, began: float, now: float) -> datetime | None:
    """Return the first tick that is overdue; None where none is."""
    seen = max(began, tick.on_since, tick.moment or 0.0)
    after = datetime.fromtimestamp(seen, timezone.utc)
    return next((due for due in next_ticks(group, after, 1) if due.timestamp() + LATE.total_seconds() < now), None)


def instigator_names(definitions: dg.RepositoryDefinition) -> Iterator[str]:
    """Yield the names of all sensors and schedules of a location."""
    yield from (sensor.name for sensor in definitions.sensor_defs)
    yield from (schedule.name for schedule in definitions.schedule_defs)
