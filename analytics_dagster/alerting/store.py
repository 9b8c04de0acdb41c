"""What the alerts keep between ticks, as JSON in Dagster's storage: incidents, threads and queued notifications.

The aliases are the JSON keys of earlier versions. They must not change: stored states have to stay readable.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from analytics_dagster.alerting.content import Content
from analytics_dagster.alerting.identity import error_identity
from analytics_dagster.alerting.incidents import Incident, IncidentEvent, Severity
from analytics_dagster.errors import AlertError
from analytics_dagster.ingestion.known_files import KeyValueStorage

_LEASE = 70.0
"""How long a process that stopped while it sent alerts keeps others from sending, in seconds."""


class BusyError(AlertError):
    """Another process is sending alerts."""


@dataclass(frozen=True)
class MessageThread:
    """All messages of one channel about one incident, or about several incidents that share a message.

    ``reference`` and ``channel_id`` are the channel's own ids of the first message and of where it was posted. ``to``
    are the addresses that were told, of an email channel; None if an earlier version did not record them.
    """

    id: str
    channel: str
    rule: str
    incidents: tuple[str, ...]
    reference: str = ""
    channel_id: Annotated[str, Field(alias="place")] = ""
    to: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Notification:
    """A queued message. ``queued`` and ``not_before`` are in seconds since 1970; ``held`` says why it waits.

    ``to`` are the addresses of an email.
    """

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
    to: tuple[str, ...] = ()


@dataclass(frozen=True)
class DeadLetter:
    """A notification that was given up at ``moment``; ``is_reported`` once another channel is told."""

    notification: Notification
    moment: float
    is_reported: bool = False


@dataclass(frozen=True)
class AlertState:
    """Everything that is stored.

    ``began`` is the time of the first tick: what happened before is not reported. Runs that ended after ``since`` are
    read, except those in ``handled`` (run id to end time). ``waiting`` has the failed runs that may be retried (run id
    to the time until which the retry must start). ``delivered`` has the last success of each channel, ``summaries`` the
    last summary of each channel, and ``ended`` when incidents ended, with what messages said. All times are in seconds
    since 1970.
    """

    since: float
    began: float = 0.0
    handled: Mapping[str, float] = field(default_factory=dict)
    waiting: Mapping[str, float] = field(default_factory=dict)
    incidents: tuple[Incident, ...] = ()
    threads: tuple[MessageThread, ...] = ()
    notifications: Annotated[tuple[Notification, ...], Field(alias="letters")] = ()
    number: int = 0
    undeliverable: tuple[DeadLetter, ...] = ()
    delivered: Mapping[str, float] = field(default_factory=dict)
    summaries: Mapping[str, float] = field(default_factory=dict)
    ended: tuple[tuple[float, str], ...] = ()

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
        """Return the stored state; a new one, which is stored, if there is none.

        What cannot be read is kept under another key, reported as a dead letter, and left out.
        """
        stored = self._get("")
        try:
            return _upgraded(_STATES.validate_json(stored))
        except ValidationError as error:
            new = AlertState(since=now, began=now)
            if stored:
                self._set("/unreadable", stored)
                places = sorted({item["loc"][:2] for item in error.errors()}, key=lambda one: [str(one[:1]), one[-1]])
                reason = f"not readable: {', '.join(' '.join(map(str, place)) for place in places)}"
                content = Content(None, Severity.ERROR, "A part of the stored alerts could not be read")
                note = Notification("", "", "", IncidentEvent.OPENED, content, now, error=reason)
                state = _without(stored, places) or new
                new = replace(state, undeliverable=(*state.undeliverable, DeadLetter(note, now)))
            self.write(new)
            return new

    def write(self, state: AlertState) -> None:
        """Store the whole state at once."""
        self._set("", _STATES.dump_json(state, by_alias=True).decode())

    @contextmanager
    def lease(self, owner: str, patience: float = 0.0) -> Iterator[None]:
        """Let only this process send alerts; wait some seconds for another process that does.

        Raises `BusyError` if the other process takes longer.
        """
        token, until = f"{owner} {uuid.uuid4()}", time.time() + patience
        while not self._claim(token):
            if time.time() >= until:
                raise BusyError("Another process is sending alerts.", remedy="Nothing is lost: try again in a minute.")
            time.sleep(0.5)
        try:
            yield
        finally:
            self._set("/lease", json.dumps([token, 0.0, time.time()]))

    def last_turn(self) -> tuple[str, float]:
        """Return who sent alerts last, and when, in seconds since 1970."""
        token, until, ended = self._lease()
        return token.partition(" ")[0], ended or until - _LEASE

    def _claim(self, token: str) -> bool:
        if self._lease()[1] > time.time():
            return False
        self._set("/lease", json.dumps([token, time.time() + _LEASE, 0.0]))
        return self._lease()[0] == token

    def _lease(self) -> tuple[str, float, float]:
        token, until, ended = json.loads(self._get("/lease") or '["", 0.0, 0.0]')
        return str(token), float(until), float(ended)

    def _get(self, part: str) -> str:
        key = f"{self._key}{part}"
        return self._storage.get_cursor_values({key}).get(key, "")

    def _set(self, part: str, value: str) -> None:
        self._storage.set_cursor_values({f"{self._key}{part}": value})


def _upgraded(state: AlertState) -> AlertState:
    """Return a state whose incidents have the keys that this version gives their errors."""
    found = list[Incident]()
    for incident in state.incidents:
        prefix, _, last = incident.alert.key.rpartition(":")
        is_error = re.fullmatch(r"[0-9a-f]{12}", last)
        key = f"{prefix}:{error_identity(incident.alert.message)}" if is_error else incident.alert.key
        found.append(replace(incident, alert=replace(incident.alert, key=key)))
    return replace(state, incidents=tuple(found))


def _without(stored: str, places: Any) -> AlertState | None:
    """Return a stored state without the entries at some places; None if it cannot be read then either."""
    try:
        document = json.loads(stored)
        for field_name, entry in reversed(places):
            del document[field_name][entry]
        return _STATES.validate_json(json.dumps(document))
    except (ValueError, LookupError, TypeError):
        return None


_STATES: TypeAdapter[AlertState] = TypeAdapter(AlertState)
