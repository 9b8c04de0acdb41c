"""Stores what each schedule group did at its ticks and after ingestions, and how its pending runs were resolved.

A pending run waits for runs upstream, or for a run of its own group. The records survive a restart of the daemon and of
the code server: without them a tick whose run has to wait would be lost (`test_the_records_survive_a_restart`).

They are kept in the key-value table of Dagster's storage. Each key has one writer, so no lock is needed: a group's
schedule writes its ticks, the sensor after ingestion the ingestions, the sensor of pending runs the resolutions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from enum import Enum
from functools import cached_property
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from analytics_dagster.ingestion.known_files import KeyValueStorage

AFTER_INGESTION = "analytics_dagster/after_ingestion"
"""The tag of a run that an ingestion started; its value is the ingestion's run id."""

SCHEDULED_TIME = ".dagster/scheduled_execution_time"
"""The tag in which Dagster's scheduler stores a run's tick; a test compares it with Dagster's own constant."""

SCHEDULE_NAME = "dagster/schedule_name"
"""The tag by which Dagster finds the runs of a schedule; a test compares it with Dagster's own constant."""

_KEPT = 20
"""How many records of each kind are kept for each group."""


@dataclass(frozen=True)
class Trigger:
    """What asks for a run: a tick of the group's cron, or an ingestion that loaded new rows.

    ``moment`` is the time of the tick, or the end of the ingestion, in UTC; ``ingestion`` is the ingestion's run id.
    """

    moment: datetime
    ingestion: str | None = None

    @property
    def tags(self) -> dict[str, str]:
        """The tags of its run: for a tick, the one that Dagster's scheduler sets on its own runs."""
        if self.ingestion:
            return {AFTER_INGESTION: self.ingestion}
        return {SCHEDULED_TIME: self.moment.astimezone(timezone.utc).isoformat()}

    def __str__(self) -> str:
        """Return it for messages."""
        if self.ingestion:
            return f"ingestion run {self.ingestion}"
        return f"the tick of {self.moment.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True)
class Wait:
    """What a pending run waits for in one group.

    ``triggers`` are those whose runs are expected or pending; ``runs`` are ids of runs that were unfinished already.
    """

    group: str
    triggers: tuple[Trigger, ...] = ()
    runs: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to wait for."""
        return not self.triggers and not self.runs


class Outcome(str, Enum):
    """What a group does at a trigger; the values are stored."""

    LAUNCHED = "launched"
    """Its run starts at once."""
    PENDING = "due"
    """Its run starts when the runs that it waits for have ended."""
    JOINED = "joined"
    """A pending run of the group covers it; if that run is skipped, this one becomes pending."""

    @classmethod
    def _missing_(cls, value: object) -> Outcome | None:
        # Earlier versions skipped a tick while a run of the group was unfinished: that run covered it.
        return cls.JOINED if value == "skipped" else None


@dataclass(frozen=True)
class TriggerRecord:
    """What a group did at a trigger.

    The aliases here and in `Resolution` are the names in the stored JSON, which earlier versions wrote.
    """

    trigger: Trigger
    outcome: Annotated[Outcome, Field(alias="answer")]
    recorded: Annotated[datetime, Field(alias="noted")]
    waits: tuple[Wait, ...] = ()

    @property
    def order(self) -> tuple[datetime, datetime]:
        """Sorts the records of ticks and of ingestions together."""
        return self.recorded, self.trigger.moment


@dataclass(frozen=True)
class Resolution:
    """How a pending run ended: it was started, or skipped for a reason."""

    trigger: Trigger
    skipped: Annotated[str, Field(alias="left_out")] = ""


@dataclass(frozen=True)
class GroupRecords:
    """The records of one group, oldest first."""

    ticks: tuple[TriggerRecord, ...] = ()
    ingestions: tuple[TriggerRecord, ...] = ()
    resolutions: tuple[Resolution, ...] = ()

    def of_kind(self, trigger: Trigger) -> tuple[TriggerRecord, ...]:
        """Return the records of ticks for a tick, and of ingestions for an ingestion."""
        return self.ingestions if trigger.ingestion else self.ticks

    def find(self, trigger: Trigger) -> TriggerRecord | None:
        """Return the record of a trigger."""
        return next((record for record in reversed(self.of_kind(trigger)) if record.trigger == trigger), None)

    def resolution(self, trigger: Trigger) -> Resolution | None:
        """Return how the run of a trigger was resolved; None while it is pending."""
        return next((one for one in self.resolutions if one.trigger == trigger), None)

    def covering(self, trigger: Trigger) -> Trigger:
        """Return the trigger whose run covers another: the one that it joined, or itself."""
        return self._covering.get(trigger, trigger)

    @cached_property
    def pending(self) -> tuple[TriggerRecord, ...]:
        """The pending runs. Later triggers join them: there are several only if a tick and an ingestion coincided."""
        return tuple(
            record
            for record in self._in_order
            if self._covering.get(record.trigger) == record.trigger
            and record.outcome is not Outcome.LAUNCHED
            and not self.resolution(record.trigger)
        )

    @cached_property
    def _covering(self) -> Mapping[Trigger, Trigger]:
        """Maps each trigger to the one whose run covers it."""
        was_skipped = {one.trigger for one in self.resolutions if one.skipped}
        found: dict[Trigger, Trigger] = {}
        covering: Trigger | None = None
        for record in self._in_order:
            if record.outcome is not Outcome.JOINED or covering in was_skipped:
                covering = record.trigger
            if covering:
                found[record.trigger] = covering
        return found

    @cached_property
    def _in_order(self) -> Sequence[TriggerRecord]:
        return sorted((*self.ticks, *self.ingestions), key=lambda record: record.order)


class PendingRunStore:
    """The records of the groups of one dbt project, by group.

    The keys contain the project's name, because another location of the same instance may have groups of these names.
    """

    def __init__(self, storage: KeyValueStorage, project: str, names: Collection[str]) -> None:
        self._storage = storage
        self._project = project
        # One query for all groups.
        values = storage.get_cursor_values({self._key(kind, name) for name in names for kind in _ADAPTERS})
        self._groups = {
            name: GroupRecords(*(_read(one, values.get(self._key(kind, name))) for kind, one in _ADAPTERS.items()))
            for name in names
        }

    def __getitem__(self, name: str) -> GroupRecords:
        """Return the records of a group; empty for a group that the project no longer has."""
        return self._groups.get(name, GroupRecords())

    def record(self, name: str, record: TriggerRecord) -> None:
        """Store what a group did at a trigger; only the writer of this kind of trigger may call it."""
        records = self[name].of_kind(record.trigger)
        kept = _with_record(records, record, self[name].pending)
        kind = "ingestions" if record.trigger.ingestion else "ticks"
        self._groups[name] = replace(self[name], **dict[str, Any]({kind: kept}))
        self._set(kind, name, kept)

    def resolve(self, name: str, resolution: Resolution) -> None:
        """Store how a pending run was resolved; only the sensor of pending runs may call it."""
        # As long as the record: without its resolution, a record would be pending again.
        others = [one for one in self[name].resolutions if self[name].find(one.trigger)]
        kept = (*(one for one in others if one.trigger != resolution.trigger), resolution)
        self._groups[name] = replace(self[name], resolutions=kept)
        self._set("settled", name, kept)

    def _set(self, kind: str, name: str, kept: tuple[object, ...]) -> None:
        # One key per call: given a new and an existing key together, Dagster's storage loses the new one.
        text = _ADAPTERS[kind].dump_json(kept, by_alias=True).decode()
        self._storage.set_cursor_values({self._key(kind, name): text})

    def _key(self, kind: str, name: str) -> str:
        return f"analytics_dagster/{self._project}/{kind}/{name}"


# Built when a tick first uses them, not in every process that loads the location.
_DEFERRED = ConfigDict(defer_build=True)
_RECORDS = TypeAdapter[Any](tuple[TriggerRecord, ...], config=_DEFERRED)
_ADAPTERS = {
    "ticks": _RECORDS,
    "ingestions": _RECORDS,
    "settled": TypeAdapter[Any](tuple[Resolution, ...], config=_DEFERRED),
}
"""How the fields of `GroupRecords` are stored, in their order, by the kind in the key."""


def _with_record(
    records: Sequence[TriggerRecord], new: TriggerRecord, pending: Sequence[TriggerRecord]
) -> tuple[TriggerRecord, ...]:
    """Return the latest records with a new one, sorted by trigger; pending ones are never dropped.

    Of the records that join a pending one only the latest is kept. If a pending one had joined a run that was skipped,
    it becomes PENDING.
    """
    kept = {one.trigger for one in pending}
    found = {one.trigger: replace(one, outcome=Outcome.PENDING) if one.trigger in kept else one for one in records}
    if pending and new.outcome is Outcome.JOINED:
        found = {
            trigger: one
            for trigger, one in found.items()
            if one.outcome is not Outcome.JOINED or one.order < pending[0].order
        }
    found[new.trigger] = new
    ordered = sorted(found.values(), key=lambda record: record.trigger.moment)
    return tuple(one for one in ordered if one in ordered[-_KEPT:] or one.trigger in kept)


def _read(adapter: TypeAdapter[Any], value: str | None) -> Any:
    """Return the stored records; none if another version stored them in a form that cannot be read."""
    try:
        return adapter.validate_json(value) if value else ()
    except ValidationError:
        return ()
