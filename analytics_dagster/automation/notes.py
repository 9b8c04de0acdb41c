"""What is kept of the order between ticks of the daemon: which run is due, for whom it waits, what became of it.

The notes lie in the key-value table of Dagster's own storage, so they outlive a restart of the daemon and of the code
server. Each key has one writer: a group's schedule its ticks, the sensor after ingestion the ingestions, the sensor of
due runs what it settled. So nobody overwrites what another has noted, and no lock is needed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from enum import Enum
from functools import cached_property
from typing import Protocol, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

AFTER_INGESTION = "analytics_dagster/after_ingestion"
"""The tag of a run that an ingestion started; its value is the ingestion's run id."""

SCHEDULED_TIME = ".dagster/scheduled_execution_time"
"""The tag in which Dagster's scheduler notes of which tick a run is; a test compares it with Dagster's own."""

_KEPT = 20  # notes of each kind and group


@dataclass(frozen=True)
class Trigger:
    """What makes a run due: a tick of the group's cron, or an ingestion that brought new rows.

    ``moment`` is the tick's time, or when the ingestion ended, in UTC; ``ingestion`` is the latter's run id.
    """

    moment: datetime
    ingestion: str | None = None

    @property
    def tags(self) -> dict[str, str]:
        """The tags by which the run is found: of a tick, the one that Dagster's scheduler gives its own runs."""
        if self.ingestion:
            return {AFTER_INGESTION: self.ingestion}
        return {SCHEDULED_TIME: self.moment.astimezone(timezone.utc).isoformat()}

    def __str__(self) -> str:
        """Return it for people."""
        if self.ingestion:
            return f"ingestion run {self.ingestion}"
        return f"the tick of {self.moment.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True)
class Wait:
    """What a due run waits for of one group.

    ``triggers`` are those whose runs come or are due themselves; ``runs`` are ids of runs that were going already.
    """

    group: str
    triggers: tuple[Trigger, ...] = ()
    runs: tuple[str, ...] = ()


class Answer(str, Enum):
    """What a group does at a trigger."""

    LAUNCHED = "launched"
    """Its run starts at once."""
    DUE = "due"
    """Its run starts when those have ended for whom it waits."""
    JOINED = "joined"
    """A run of the group that is due already stands for it; if that is left out, it is due itself."""
    SKIPPED = "skipped"
    """A run of the group is still going, and stands for it."""


@dataclass(frozen=True)
class Note:
    """What a group did at a trigger; ``instead`` is the run for which a tick was skipped."""

    trigger: Trigger
    answer: Answer
    noted: datetime
    waits: tuple[Wait, ...] = ()
    instead: str | None = None


@dataclass(frozen=True)
class Settlement:
    """What became of a due run: it was started, or left out for the reason given."""

    trigger: Trigger
    left_out: str = ""


@dataclass(frozen=True)
class GroupNotes:
    """All that is kept of one group, oldest first."""

    ticks: tuple[Note, ...] = ()
    ingestions: tuple[Note, ...] = ()
    settled: tuple[Settlement, ...] = ()

    def like(self, trigger: Trigger) -> tuple[Note, ...]:
        """Return the notes of the same kind of trigger."""
        return self.ingestions if trigger.ingestion else self.ticks

    def of(self, trigger: Trigger) -> Note | None:
        """Return what was noted at a trigger."""
        return next((note for note in reversed(self.like(trigger)) if note.trigger == trigger), None)

    def settlement(self, trigger: Trigger) -> Settlement | None:
        """Return what became of the run that was due at a trigger; None while it is due."""
        return next((one for one in self.settled if one.trigger == trigger), None)

    def stand_in(self, trigger: Trigger) -> Trigger:
        """Return the trigger whose run stands for that of another: the one that it joined, or itself."""
        return self._stand_ins.get(trigger, trigger)

    @cached_property
    def pending(self) -> tuple[Note, ...]:
        """The due runs that are not settled: one of a tick and one of an ingestion at most, as others join it."""
        standing = (
            next((note for note in reversed(notes) if self._stand_ins.get(note.trigger) == note.trigger), None)
            for notes in (self.ticks, self.ingestions)
        )
        due = [note for note in standing if note and note.answer in {Answer.DUE, Answer.JOINED}]
        return tuple(note for note in due if not self.settlement(note.trigger))

    @cached_property
    def _stand_ins(self) -> Mapping[Trigger, Trigger]:
        found: dict[Trigger, Trigger] = {}
        for notes in (self.ticks, self.ingestions):
            standing: Trigger | None = None
            for note in notes:
                if note.answer is Answer.SKIPPED:
                    continue
                if note.answer is not Answer.JOINED or (standing and self._is_left_out(standing)):
                    standing = note.trigger
                if standing:
                    found[note.trigger] = standing
        return found

    def _is_left_out(self, trigger: Trigger) -> bool:
        settled = self.settlement(trigger)
        return settled is not None and bool(settled.left_out)


class KeyValues(Protocol):
    """The key-value table of Dagster's storage (`DagsterInstance.daemon_cursor_storage`)."""

    def get_cursor_values(self, keys: set[str]) -> Mapping[str, str]:
        """Return the values of those keys that are there."""

    def set_cursor_values(self, pairs: Mapping[str, str]) -> None:
        """Write values."""


class Notebook:
    """The notes of the groups of one dbt project, by group.

    Another location of the same Dagster instance may have groups of the same names: the project's name keeps them
    apart.
    """

    def __init__(self, storage: KeyValues, project: str, names: Collection[str]) -> None:
        self._storage = storage
        self._project = project
        # One query for all of them.
        values = storage.get_cursor_values({self._key(kind, name) for name in names for kind in _KINDS})
        self._groups = {
            name: GroupNotes(
                ticks=_read(_NOTES, values.get(self._key(_TICKS, name))),
                ingestions=_read(_NOTES, values.get(self._key(_INGESTIONS, name))),
                settled=_read(_SETTLEMENTS, values.get(self._key(_SETTLED, name))),
            )
            for name in names
        }

    def __getitem__(self, name: str) -> GroupNotes:
        """Return the notes of a group; none of one that is not of this project any more."""
        return self._groups.get(name, GroupNotes())

    def write(self, name: str, note: Note) -> None:
        """Keep what a group did at a trigger; for the one writer of this kind of trigger alone."""
        due = (one for one in self[name].pending if bool(one.trigger.ingestion) is bool(note.trigger.ingestion))
        kept = _with_note(self[name].like(note.trigger), note, next(due, None))
        if note.trigger.ingestion:
            self._groups[name] = replace(self[name], ingestions=kept)
            self._set(_INGESTIONS, name, _NOTES.dump_json(kept))
        else:
            self._groups[name] = replace(self[name], ticks=kept)
            self._set(_TICKS, name, _NOTES.dump_json(kept))

    def settle(self, name: str, settlement: Settlement) -> None:
        """Keep what became of a due run; for the sensor of due runs alone."""
        others = [one for one in self[name].settled if one.trigger != settlement.trigger]
        kept = (*others, settlement)[-2 * _KEPT :]
        self._groups[name] = replace(self[name], settled=kept)
        self._set(_SETTLED, name, _SETTLEMENTS.dump_json(kept))

    def _set(self, kind: str, name: str, value: bytes) -> None:
        # One key at a time: of several, Dagster's storage forgets those that are new beside one that is not.
        self._storage.set_cursor_values({self._key(kind, name): value.decode()})

    def _key(self, kind: str, name: str) -> str:
        return f"analytics_dagster/{self._project}/{kind}/{name}"


_KINDS = _TICKS, _INGESTIONS, _SETTLED = "ticks", "ingestions", "settled"
# Built when a tick first uses them, not in every process that loads the location.
_LATER = ConfigDict(defer_build=True)
_NOTES: TypeAdapter[tuple[Note, ...]] = TypeAdapter(tuple[Note, ...], config=_LATER)
_SETTLEMENTS: TypeAdapter[tuple[Settlement, ...]] = TypeAdapter(tuple[Settlement, ...], config=_LATER)
_Kept = TypeVar("_Kept")


def _with_note(notes: Sequence[Note], new: Note, due: Note | None) -> tuple[Note, ...]:
    """Return the last notes with a new one, in their order; what is ``due`` stays, however many follow.

    Of those that join it the last is enough. It may have joined itself, and be due since what it joined was left out:
    then it is one of its own from now on.
    """
    found = {note.trigger: note for note in notes}
    if due:
        found[due.trigger] = replace(due, answer=Answer.DUE)
    if due and new.answer is Answer.JOINED:
        found = {
            trigger: note
            for trigger, note in found.items()
            if note.answer is not Answer.JOINED or trigger.moment < due.trigger.moment
        }
    found[new.trigger] = new
    ordered = sorted(found.values(), key=lambda note: note.trigger.moment)
    return tuple(note for note in ordered if note in ordered[-_KEPT:] or (due and note.trigger == due.trigger))


def _read(adapter: TypeAdapter[tuple[_Kept, ...]], value: str | None) -> tuple[_Kept, ...]:
    """Return what a value holds; one that another version has written in another form has noted nothing."""
    try:
        return adapter.validate_json(value) if value else ()
    except ValidationError:
        return ()
