"""What the alerts keep between ticks, as JSON in Dagster's storage: incidents, threads and queued notifications.

The aliases are the JSON keys of earlier versions. They must not change: stored states have to stay readable.
"""

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
    """All messages of one channel about one incident, or about several incidents that share a message.

    ``reference`` and ``channel_id`` are the channel's own ids of the first message and of where it was posted.
    """

    id: str
    channel: str
    rule: str
    incidents: tuple[str, ...]
    reference: str = ""
    channel_id: Annotated[str, Field(alias="place")] = ""


@dataclass(frozen=True)
class Notification:
    """A queued message. ``queued`` and ``not_before`` are in seconds since 1970; ``held`` says why it waits."""

    id: str
    thread: str
    channel: str
    event: IncidentEvent
    content: Content
    queued: float
    not_before: float = 0.0
    held: str = ""
    attempts: int = 0
    error: str = ""


@dataclass(frozen=True)
class AlertState:
    """Everything that is stored.

    ``began`` is the time of the first tick: what happened before is not reported. Runs that ended after ``since`` are
    read, except those in ``handled`` (run id to end time). ``waiting`` has the failed runs that may be retried (run id
    to the time until which the retry must start). All times are in seconds since 1970.
    """

    since: float
    began: float = 0.0
    handled: Mapping[str, float] = field(default_factory=dict)
    waiting: Mapping[str, float] = field(default_factory=dict)
    incidents: tuple[Incident, ...] = ()
    threads: tuple[MessageThread, ...] = ()
    notifications: Annotated[tuple[Notification, ...], Field(alias="letters")] = ()
    number: int = 0

    def thread(self, notification: Notification) -> MessageThread:
        """Return the thread of a notification; a new one if it stands alone."""
        alone = MessageThread(notification.id, notification.channel, "", ())
        return next((one for one in self.threads if one.id == notification.thread), alone)


class AlertStore:
    """Reads and writes the state of one dbt project's alerts.

    ``name`` separates writers: the alerts sensor and `alerts watch` each have a state of their own.
    """

    def __init__(self, storage: KeyValueStorage, project: str, name: str = "state") -> None:
        self._storage = storage
        self._key = f"analytics_dagster/{project}/alerting/{name}"

    def read(self, now: float) -> AlertState:
        """Return the stored state. If there is none, or it cannot be read, store and return a new one."""
        stored = self._storage.get_cursor_values({self._key}).get(self._key, "")
        try:
            return _STATES.validate_json(stored)
        except ValidationError:
            state = AlertState(since=now, began=now)
            self.write(state)
            return state

    def write(self, state: AlertState) -> None:
        """Store the whole state at once."""
        self._storage.set_cursor_values({self._key: _STATES.dump_json(state, by_alias=True).decode()})


_STATES: TypeAdapter[AlertState] = TypeAdapter(AlertState)
