"""What is kept between ticks: incidents, threads and the letters that are still to be sent; in Dagster's storage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from analytics_dagster.alerting.content import Content
from analytics_dagster.alerting.incidents import Incident, IncidentEvent
from analytics_dagster.automation.pending_run_store import KeyValueStorage


@dataclass(frozen=True)
class MessageThread:
    """What one channel is told of one incident, or of several in one message, from beginning to end.

    ``reference`` and ``place`` are what the channel has called its first message and where that is.
    """

    id: str
    channel: str
    rule: str
    incidents: tuple[str, ...]
    reference: str = ""
    place: str = ""


@dataclass(frozen=True)
class Notification:
    """A message that is to be sent; not before a moment, in seconds since 1970."""

    id: str
    thread: str
    channel: str
    event: IncidentEvent
    content: Content
    queued: float
    not_before: float = 0.0
    held: str = ""
    """Why it waits, where nobody wants to hear of it yet."""
    attempts: int = 0
    error: str = ""


@dataclass(frozen=True)
class AlertState:
    """All that is kept.

    What happened before ``began``, the first look, is no news. Runs that ended after ``since`` are looked at, but for
    those ``handled`` already, with the moments when they ended; ``waiting`` are failed runs that are retried, with the
    moments until which their retries must have come.
    """

    since: float
    began: float = 0.0
    handled: Mapping[str, float] = field(default_factory=dict)
    waiting: Mapping[str, float] = field(default_factory=dict)
    incidents: tuple[Incident, ...] = ()
    threads: tuple[MessageThread, ...] = ()
    notifications: Annotated[tuple[Notification, ...], Field(alias="letters")] = ()
    number: int = 0

    def incident(self, identity: str) -> Incident | None:
        """Return an incident by its id."""
        return next((one for one in self.incidents if one.id == identity), None)

    def thread(self, identity: str) -> MessageThread | None:
        """Return a thread by its id."""
        return next((one for one in self.threads if one.id == identity), None)


class AlertStore:
    """Where the state of one dbt project's alerts lies; the sensor of alerts is the only one who writes it.

    ``name`` keeps apart what several writers keep, each of which has its own.
    """

    def __init__(self, storage: KeyValueStorage, project: str, name: str = "state") -> None:
        self._storage = storage
        self._key = f"analytics_dagster/{project}/alerting/{name}"

    def read(self, now: float) -> AlertState:
        """Return what was kept, or a new state before the first time, and where another version has kept it otherwise.

        A new one is kept at once: what happens from now on is news.
        """
        kept = self._storage.get_cursor_values({self._key}).get(self._key)
        try:
            if kept:
                return _STATES.validate_json(kept)
        except ValidationError:
            pass
        state = AlertState(since=now, began=now)
        self.write(state)
        return state

    def write(self, state: AlertState) -> None:
        """Keep it, all at once."""
        self._storage.set_cursor_values({self._key: _STATES.dump_json(state, by_alias=True).decode()})


_STATES: TypeAdapter[AlertState] = TypeAdapter(AlertState)
