"""Incidents: the same thing failing for the same reason, from its first failure until it is green again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Annotated

from pydantic import Field

from analytics_dagster.execution.failures.classification import FailureKind
from analytics_dagster.redaction import digest


class Severity(str, Enum):
    """How bad it is; the order is that of the members."""

    WARN = "warn"
    """A check that only warns."""
    ERROR = "error"
    """Something failed."""
    CRITICAL = "critical"
    """Something failed that somebody must be woken for."""


@dataclass(frozen=True)
class Alert:
    """One thing that was seen to fail, and what people are told of it.

    Troubles of one ``key`` are the same incident. ``subjects`` are what must be seen green for it to be over
    (`asset:…`, `check:…`, `job:…`, `schedule:…`, `sensor:…`); ``assets`` are those that failed, ``skipped`` those that
    were not built because of it. ``moment`` is in seconds since 1970. The rest is what routes decide by.
    """

    key: str
    title: str
    kind: FailureKind
    severity: Severity
    moment: float
    message: str = ""
    subjects: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    exposures: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    details: tuple[tuple[str, str], ...] = ()
    run_id: str = ""
    url: str = ""


@dataclass(frozen=True)
class Observation:
    """What was seen at once, in a run or at a tick: what failed, and the subjects that are green."""

    moment: float
    alerts: tuple[Alert, ...] = ()
    green: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Incident:
    """A trouble from its first time (``opened``) to its last (``seen``); ``green`` of its subjects are well again."""

    id: str
    alert: Annotated[Alert, Field(alias="trouble")]
    opened: float
    seen: float
    times: int = 1
    green: tuple[str, ...] = ()
    recovered: float | None = None
    escalated: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether it lasts."""
        return self.recovered is None


class IncidentEvent(str, Enum):
    """What happened to an incident."""

    OPENED = "opened"
    UPDATED = "updated"
    ESCALATED = "escalated"
    RECOVERED = "recovered"


@dataclass(frozen=True)
class IncidentChange:
    """Something that happened to an incident, which is as it was after that."""

    event: IncidentEvent
    incident: Incident


def advance(
    incidents: Sequence[Incident], observation: Observation
) -> tuple[tuple[Incident, ...], list[IncidentChange]]:
    """Return the incidents after an observation, and what changed.

    The same trouble at a later moment updates its incident. What is green and red in one observation is red; and what
    was seen green before the incident was last seen says nothing.
    """
    known = {incident.id: incident for incident in incidents}
    by_key = {incident.alert.key: incident.id for incident in incidents if incident.is_open}
    events: dict[str, IncidentEvent] = {}
    red = {subject for alert in observation.alerts for subject in alert.subjects}
    for alert in _merged(observation.alerts):
        same = known.get(by_key.get(alert.key, ""))
        if same is None:
            identity = digest(f"{alert.key} {alert.moment}")
            known[identity] = Incident(identity, alert, opened=alert.moment, seen=alert.moment)
            by_key[alert.key] = identity
            events[identity] = IncidentEvent.OPENED
        elif alert.moment > same.seen:
            known[same.id] = _again(same, alert)
            events.setdefault(same.id, IncidentEvent.UPDATED)
    green = observation.green - red
    for identity, incident in list(known.items()):
        after = _greener(incident, green, observation.moment)
        if after is not incident:
            known[identity] = after
            events[identity] = IncidentEvent.UPDATED if after.is_open else IncidentEvent.RECOVERED
    return tuple(known.values()), [IncidentChange(event, known[identity]) for identity, event in events.items()]


def _merged(alerts: Iterable[Alert]) -> Iterable[Alert]:
    """Return one trouble for each key: what fails a hundred times at once for one cause is one incident."""
    found: dict[str, Alert] = {}
    for alert in alerts:
        before = found.get(alert.key)
        found[alert.key] = alert if before is None else _both(before, alert)
    return found.values()


def _both(one: Alert, other: Alert) -> Alert:
    return replace(
        one,
        severity=max(one.severity, other.severity, key=list(Severity).index),
        moment=max(one.moment, other.moment),
        subjects=_union(one.subjects, other.subjects),
        assets=_union(one.assets, other.assets),
        skipped=_union(one.skipped, other.skipped),
        exposures=_union(one.exposures, other.exposures),
        owners=_union(one.owners, other.owners),
        groups=_union(one.groups, other.groups),
        tags=_union(one.tags, other.tags),
        paths=_union(one.paths, other.paths),
    )


def _again(incident: Incident, alert: Alert) -> Incident:
    """Return an incident whose trouble was seen once more; what failed before and is not well yet stays in it."""
    left = tuple(subject for subject in incident.alert.subjects if subject not in incident.green)
    latest = replace(
        alert,
        subjects=_union(alert.subjects, left),
        severity=max(incident.alert.severity, alert.severity, key=list(Severity).index),
        assets=_union(alert.assets, incident.alert.assets),
    )
    return replace(incident, alert=latest, seen=max(incident.seen, alert.moment), times=incident.times + 1, green=())


def _greener(incident: Incident, green: frozenset[str], moment: float) -> Incident:
    if not incident.is_open or moment < incident.seen:
        return incident
    new = tuple(one for one in incident.alert.subjects if one in green and one not in incident.green)
    if not new:
        return incident
    after = replace(incident, green=(*incident.green, *new))
    return replace(after, recovered=moment) if set(after.green) >= set(after.alert.subjects) else after


def _union(one: Iterable[str], other: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *other)))
