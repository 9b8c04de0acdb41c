"""Decides for which tables the landing sensor requests a run, and what its cursor remembers. Pure.

A file is new until a load has stored that it needs no load any more (`ingestion.known_files`). So a run that was
killed, or failed for good, is requested again, with an increasing delay; a deleted or quarantined file starts no run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import cache

from pydantic import TypeAdapter

from analytics_dagster.ingestion.known_files import KnownFiles, file_ids
from analytics_dagster.ingestion.landing import LandedFile
from analytics_dagster.text import pluralize

SENSOR = "landing_sensor"
"""The name of the sensor."""

_VERSION = 3
_FIRST_DELAY, _LONGEST_DELAY = 60.0, 3_600.0  # seconds

STUCK_AFTER = 3
"""After so many runs, files that are still not loaded are an incident."""


@dataclass(frozen=True)
class RequestedTable:
    """A table whose files were requested and are not all loaded yet.

    ``load`` is the last complete load before the request; ``requests`` counts the runs; ``since`` is the time of the
    first one, ``due`` that of the next one (seconds since 1970), None until the last one is known to have failed.
    ``files`` is the number of new files at the last tick, and ``is_left`` whether a load could not open them.
    """

    load: str
    since: float
    requests: int = 1
    due: float | None = None
    files: int = 0
    is_left: bool = False

    @property
    def is_stuck(self) -> bool:
        """Whether the files stay although several runs ended that should have loaded them."""
        return self.requests > STUCK_AFTER or (self.requests == STUCK_AFTER and self.due is not None)

    def describe(self, name: str) -> str:
        """Return in one line what is known of the files of a table."""
        why = "could not be opened" if self.is_left else "not loaded"
        line = f"{pluralize(self.files, 'file')} of {name} {why} after {pluralize(self.requests, 'run')}"
        if self.due is None:
            return f"{line}: another run was requested."
        return f"{line}: the next run starts at {datetime.fromtimestamp(self.due, timezone.utc):%H:%M:%S} UTC."


@dataclass(frozen=True)
class LandingCursor:
    """What the sensor remembers: the number of requested runs, and the tables that they have not loaded yet.

    ``round`` makes run keys unique. ``unreadable`` is since when the landing zone can't be read. ``earlier`` has the
    listings of an earlier version's cursor, by table, until they are compared once.
    """

    round: int = 0
    requested: Mapping[str, RequestedTable] = field(default_factory=dict)
    unreadable: float | None = None
    earlier: Mapping[str, str] = field(default_factory=dict)

    def to_text(self) -> str:
        """Return the cursor as Dagster stores it."""
        return json.dumps({"version": _VERSION, **json.loads(_cursors().dump_json(replace(self, earlier={})))})

    @classmethod
    def from_text(cls, text: str | None) -> LandingCursor:
        """Return a stored cursor. Earlier versions stored listings: hashes (version 2), or sketches (version 1)."""
        try:
            stored = json.loads(text or "")
            if stored["version"] == _VERSION:
                return _cursors().validate_python(stored)
            listings = stored["listings" if "listings" in stored else "tables"]
            return cls(int(stored["round"]), earlier={str(name): str(listing) for name, listing in listings.items()})
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()

    @property
    def stuck(self) -> Mapping[str, RequestedTable]:
        """The tables whose files are still not loaded after several runs."""
        return {name: one for name, one in self.requested.items() if one.is_stuck}


@dataclass(frozen=True)
class LandingDecision:
    """The tables to load now, the key of their run, and the cursor after it is requested."""

    tables: tuple[str, ...]
    run_key: str
    cursor: LandingCursor


def decide(
    cursor: LandingCursor, listings: Mapping[str, Sequence[LandedFile]], known: Mapping[str, KnownFiles], now: float
) -> LandingDecision:
    """Return for which tables a run is requested; all arguments are by the table's unique id.

    It must not be called while a run of ingestion is unfinished or will be retried. The same arguments give the same
    run key.
    """
    requested, due = dict[str, RequestedTable](), dict[str, list[int]]()
    for name, files in sorted(listings.items()):
        state, ids = known.get(name, KnownFiles(load="")), file_ids(files).keys()
        found = _evaluate(cursor.requested.get(name), ids - state.known, state, now)
        if found is None:
            continue
        requested[name] = found
        if found.due is None:
            due[name] = sorted(ids - state.known)
    following = LandingCursor(cursor.round + bool(due), requested)
    digest = hashlib.blake2b(repr((cursor.round, due)).encode(), digest_size=8).hexdigest()
    return LandingDecision(tuple(due), f"landing-{following.round}-{digest}", following)


def _evaluate(
    before: RequestedTable | None, new: AbstractSet[int], known: KnownFiles, now: float
) -> RequestedTable | None:
    """Return what is requested for a table, without ``due`` if it is requested now; None if nothing is new."""
    is_complete = before is None or before.load != known.load
    left = new & known.left
    if before is None or (is_complete and not left):
        return RequestedTable(known.load, now, files=len(new)) if new else None
    due = before.due if before.due is not None else now + _delay(before.requests)
    # Files that arrived since do not wait for those that can't be opened.
    if due > now and not (is_complete and new - left):
        return replace(before, due=due, files=len(new), is_left=is_complete)
    requests = before.requests + 1
    return replace(before, load=known.load, requests=requests, due=None, files=len(new), is_left=is_complete)


def _delay(requests: int) -> float:
    return min(_FIRST_DELAY * 2.0 ** (requests - 1), _LONGEST_DELAY)


@cache
def _cursors() -> TypeAdapter[LandingCursor]:
    # Built when a tick first uses it, not in every process that loads the location.
    return TypeAdapter(LandingCursor)
