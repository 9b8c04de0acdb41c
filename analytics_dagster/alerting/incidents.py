"""Incidents: an incident lasts from the first failure for a reason until everything that failed succeeds. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Annotated, Any

from pydantic import Field

from analytics_dagster.execution.failures.classification import FailureKind
from analytics_dagster.redaction import digest


class Severity(str, Enum):
    """The severity of an alert, in ascending order."""

    WARN = "warn"
    """A check with severity WARN failed."""
    ERROR = "error"
    """Something failed."""
    CRITICAL = "critical"
    """Something failed that the routes file marks as critical."""


@dataclass(frozen=True)
class Alert:
    """One failure, and what messages say about it.

    Alerts with the same ``key`` belong to the same incident. The incident is over when all ``subjects`` have succeeded
    (`asset:…`, `check:…`, `job:…`, `schedule:…`, `sensor:…`). ``assets`` failed; ``skipped`` were not built as a
    result. ``moment`` is in seconds since 1970. Routing rules use the other fields.
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
    """What one run or one tick shows: the failures, and the subjects that succeeded."""

    moment: float
    alerts: tuple[Alert, ...] = ()
    succeeded: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Incident:
    """An alert from its first occurrence (``opened``) to its last (``seen``), in seconds since 1970.

    ``succeeded`` are the subjects that have succeeded since, ``escalated`` the rules that have escalated.
    """

    id: str
    alert: Annotated[Alert, Field(alias="trouble")]
    opened: float
    seen: float
    times: int = 1
    succeeded: Annotated[tuple[str, ...], Field(alias="green")] = ()
    recovered: float | None = None
    escalated: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether the incident is not over yet."""
        return self.recovered is None


class IncidentEvent(str, Enum):
    """What happened to an incident."""

    OPENED = "opened"
    UPDATED = "updated"
    ESCALATED = "escalated"
    RECOVERED = "recovered"


def advance(
    incidents: Iterable[Incident], observation: Observation
) -> tuple[dict[str, Incident], dict[str, IncidentEvent]]:
    """Return the incidents after an observation, and the events of those that changed, by incident id.

    A later alert with the key of an open incident updates it. A subject that failed and succeeded in one observation
    counts as failed. A success before the incident's last failure is ignored.
    """
    known = {incident.id: incident for incident in incidents}
    by_key = {incident.alert.key: incident.id for incident in known.values() if incident.is_open}
    events: dict[str, IncidentEvent] = {}
    failed = {subject for alert in observation.alerts for subject in alert.subjects}
    for alert in _merged(observation.alerts):
        incident = known.get(by_key.get(alert.key, ""))
        if incident is None:
            incident_id = digest(f"{alert.key} {alert.moment}")
            known[incident_id] = Incident(incident_id, alert, opened=alert.moment, seen=alert.moment)
            by_key[alert.key] = incident_id
            events[incident_id] = IncidentEvent.OPENED
        elif alert.moment > incident.seen:
            known[incident.id] = _repeated(incident, alert)
            events.setdefault(incident.id, IncidentEvent.UPDATED)
    for incident in list(known.values()):
        new = set(incident.alert.subjects) & (observation.succeeded - failed - set(incident.succeeded))
        if new and incident.is_open and observation.moment >= incident.seen:
            after = replace(incident, succeeded=_joined(incident.succeeded, sorted(new)))
            is_over = set(after.succeeded) >= set(after.alert.subjects)
            known[after.id] = replace(after, recovered=observation.moment) if is_over else after
            events[after.id] = IncidentEvent.RECOVERED if is_over else IncidentEvent.UPDATED
    return known, events


def _merged(alerts: Iterable[Alert]) -> Iterable[Alert]:
    """Return one alert per key, so that one cause that hits many assets is one incident."""
    found: dict[str, Alert] = {}
    for alert in alerts:
        first = found.get(alert.key, alert)
        lists: dict[str, Any] = {name: _joined(getattr(first, name), getattr(alert, name)) for name in _LISTS}
        moment = max(first.moment, alert.moment)
        found[alert.key] = replace(first, severity=highest([first, alert]), moment=moment, **lists)
    return found.values()


_LISTS = ("subjects", "assets", "skipped", "exposures", "owners", "groups", "tags", "paths")


def _repeated(incident: Incident, alert: Alert) -> Incident:
    """Return an incident after another failure; subjects that failed before and have not succeeded stay in it."""
    remaining = (subject for subject in incident.alert.subjects if subject not in incident.succeeded)
    subjects, assets = _joined(alert.subjects, remaining), _joined(alert.assets, incident.alert.assets)
    latest = replace(alert, subjects=subjects, severity=highest([incident.alert, alert]), assets=assets)
    return replace(incident, alert=latest, seen=alert.moment, times=incident.times + 1, succeeded=())


def highest(alerts: Iterable[Alert]) -> Severity:
    """Return the highest severity of several alerts."""
    return max((alert.severity for alert in alerts), key=list(Severity).index)


def _joined(one: Iterable[str], other: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *other)))
