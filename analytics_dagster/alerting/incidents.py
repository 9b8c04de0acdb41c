"""Incidents as a state machine: from the first failure for a reason to its recovery or another end. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
    (`asset:…`, `check:…`, `job:…`, `schedule:…`, `sensor:…`, `channel:…`). ``assets`` failed; ``skipped`` were not
    built as a result. ``moment`` is in seconds since 1970. Routing rules use the other fields.
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
    """What one run, one tick or one command shows.

    ``alerts`` are the failures, ``succeeded`` the subjects that succeeded, ``gone`` those that no longer exist, and
    ``closed`` the ids of incidents that a person closes. ``url`` is the address of the run.
    """

    moment: float
    alerts: tuple[Alert, ...] = ()
    succeeded: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    closed: frozenset[str] = frozenset()
    url: str = ""


class Signal(Enum):
    """What can happen to an incident."""

    FAILED = "failed"
    FAILED_WORSE = "failed with a higher severity"
    SETTLED_PARTLY = "some subjects succeeded or disappeared"
    SUCCEEDED = "the last subject succeeded"
    DISAPPEARED = "the last subject disappeared"
    CLOSED = "closed by a person"


class IncidentEvent(str, Enum):
    """What a message is about."""

    OPENED = "opened"
    UPDATED = "updated"
    ESCALATED = "escalated"
    RECOVERED = "recovered"
    DISAPPEARED = "disappeared"
    CLOSED = "closed"
    SUCCEEDED = "succeeded"
    """A run succeeded; this and the next are not about an incident."""
    SUMMARY = "summary"

    @property
    def is_end(self) -> bool:
        """Whether an incident is over."""
        return self in {IncidentEvent.RECOVERED, IncidentEvent.DISAPPEARED, IncidentEvent.CLOSED}


OPEN = IncidentEvent.OPENED

TRANSITIONS: Mapping[tuple[IncidentEvent | None, Signal], IncidentEvent] = {
    (None, Signal.FAILED): IncidentEvent.OPENED,
    (OPEN, Signal.FAILED): IncidentEvent.UPDATED,
    (OPEN, Signal.FAILED_WORSE): IncidentEvent.ESCALATED,
    (OPEN, Signal.SETTLED_PARTLY): IncidentEvent.UPDATED,
    (OPEN, Signal.SUCCEEDED): IncidentEvent.RECOVERED,
    (OPEN, Signal.DISAPPEARED): IncidentEvent.DISAPPEARED,
    (OPEN, Signal.CLOSED): IncidentEvent.CLOSED,
}
"""The event by state and signal. The state of an incident is open until the event that ends it, which is final."""


@dataclass(frozen=True)
class Incident:
    """An alert from its first occurrence (``opened``) to its last (``seen``), in seconds since 1970.

    ``succeeded`` are the subjects that have succeeded since, ``escalated`` the rules that have escalated. ``recovered``
    is when it ended, ``ended_as`` how, and ``ended_url`` the run that ended it. ``title`` is that of the first alert:
    all messages about an incident name it in the same way.
    """

    id: str
    alert: Annotated[Alert, Field(alias="trouble")]
    opened: float
    seen: float
    times: int = 1
    succeeded: Annotated[tuple[str, ...], Field(alias="green")] = ()
    recovered: float | None = None
    escalated: tuple[str, ...] = ()
    title: str = ""
    ended_as: IncidentEvent = IncidentEvent.RECOVERED
    ended_url: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the incident is not over yet."""
        return self.recovered is None

    @property
    def state(self) -> IncidentEvent:
        """Open, or the event that ended it."""
        return OPEN if self.is_open else self.ended_as

    @property
    def name(self) -> str:
        """The title in messages."""
        return self.title or self.alert.title


def advance(
    incidents: Iterable[Incident], observation: Observation
) -> tuple[dict[str, Incident], dict[str, IncidentEvent]]:
    """Return the incidents after an observation, and the events of those that changed, by incident id.

    A later alert with the key of an open incident updates it. A subject that failed and succeeded in one observation
    counts as failed. A success before the incident's last failure is ignored.
    """
    known = {incident.id: incident for incident in incidents}
    by_key = {incident.alert.key: incident for incident in known.values() if incident.is_open}
    events: dict[str, IncidentEvent] = {}

    def apply(after: Incident, state: IncidentEvent | None, signal: Signal) -> None:
        event = TRANSITIONS[state, signal]
        if event.is_end:
            after = replace(after, recovered=observation.moment, ended_as=event, ended_url=observation.url)
        known[after.id] = after
        if event is not IncidentEvent.UPDATED or after.id not in events:
            events[after.id] = event

    for alert in _merged(observation.alerts):
        incident = by_key.get(alert.key)
        if incident is None:
            identity = digest(f"{alert.key} {alert.moment}")
            apply(Incident(identity, alert, alert.moment, alert.moment, title=alert.title), None, Signal.FAILED)
        elif alert.moment > incident.seen:
            after = _repeated(incident, alert)
            is_worse = after.alert.severity is not incident.alert.severity
            apply(after, OPEN, Signal.FAILED_WORSE if is_worse else Signal.FAILED)
    failed = {subject for alert in observation.alerts for subject in alert.subjects}
    for incident in [one for one in known.values() if one.is_open]:
        for after, signal in _settled(incident, observation, failed):
            apply(after, OPEN, signal)
    return known, events


def _settled(incident: Incident, observation: Observation, failed: set[str]) -> Iterator[tuple[Incident, Signal]]:
    """Yield an incident without what succeeded or disappeared, and the signal, if anything did."""
    remaining = set(incident.alert.subjects) - set(incident.succeeded)
    is_later = observation.moment >= incident.seen
    passed = remaining & (observation.succeeded - failed) if is_later else set[str]()
    gone = remaining & observation.gone
    subjects = tuple(one for one in incident.alert.subjects if one not in gone)
    succeeded = _joined(incident.succeeded, sorted(passed))
    after = replace(incident, succeeded=succeeded, alert=replace(incident.alert, subjects=subjects))
    if incident.id in observation.closed:
        yield after, Signal.CLOSED
    elif remaining - passed - gone and passed | gone:
        yield after, Signal.SETTLED_PARTLY
    elif passed | gone:
        yield after, Signal.SUCCEEDED if succeeded else Signal.DISAPPEARED


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
    """Return an incident after another failure; subjects that failed before and have not succeeded stay in it.

    So do their owners, groups, tags and paths: who was concerned is still concerned.
    """
    before = incident.alert
    remaining = (subject for subject in before.subjects if subject not in incident.succeeded)
    kept: dict[str, Any] = {
        name: _joined(getattr(alert, name), getattr(before, name)) for name in _LISTS if name != "skipped"
    }
    kept |= {"subjects": _joined(alert.subjects, remaining), "exposures": alert.exposures}
    latest = replace(alert, severity=highest([before, alert]), **kept)
    return replace(incident, alert=latest, seen=alert.moment, times=incident.times + 1, succeeded=())


def highest(alerts: Iterable[Alert]) -> Severity:
    """Return the highest severity of several alerts."""
    return max((alert.severity for alert in alerts), key=list(Severity).index)


def _joined(one: Iterable[str], other: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *other)))
