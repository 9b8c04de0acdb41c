"""What the ledgers know of the files of the landing zone, kept in Dagster's storage for the landing sensor.

The ledger is in the warehouse, which a sensor must not open. So each load writes which listed files need no load any
more, after Dagster has stored its results: a load that was killed before that is requested again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from analytics_dagster.ingestion.landing import LandedFile
from analytics_dagster.ingestion.tables import LandedTable

_ID_BYTES = 8


class KeyValueStorage(Protocol):
    """The key-value table of Dagster's storage (`DagsterInstance.daemon_cursor_storage`)."""

    def get_cursor_values(self, keys: set[str]) -> Mapping[str, str]:
        """Return the values of those keys that exist."""

    def set_cursor_values(self, pairs: Mapping[str, str]) -> None:
        """Write values."""


@dataclass(frozen=True)
class KnownFiles:
    """What the last complete load of a table knew of the files that it listed, by the ids of their versions.

    ``known`` need no load any more; ``left`` could not be opened. ``load`` identifies the load.
    """

    known: frozenset[int] = frozenset()
    left: frozenset[int] = frozenset()
    load: str = field(default_factory=lambda: uuid.uuid4().hex)

    def to_text(self) -> str:
        """Return it as Dagster stores it: eight bytes for each file."""
        packed = {"known": _pack(self.known), "left": _pack(self.left)}
        return json.dumps({"load": self.load, **packed})

    @classmethod
    def from_text(cls, text: str) -> KnownFiles | None:
        """Return what was stored; None if another version stored it in a form that can't be read."""
        try:
            stored = json.loads(text)
            return cls(_unpack(stored["known"]), _unpack(stored["left"]), str(stored["load"]))
        except (ValueError, KeyError, TypeError):
            return None


def file_ids(files: Iterable[LandedFile]) -> dict[int, LandedFile]:
    """Return files by the id of their version: of path, size and modification time."""
    return {_id(repr((file.path, file.size, file.modified.timestamp()))): file for file in files}


@dataclass(frozen=True)
class KnownFilesStore:
    """The known files of all tables; ``target`` is the name of the dbt target: each warehouse has its own ledgers."""

    storage: KeyValueStorage
    landing_url: str
    target: str

    def read(self, tables: Collection[LandedTable]) -> dict[str, KnownFiles]:
        """Return the known files by the table's unique id, of those tables that were loaded."""
        keys = {self._key(table): table.unique_id for table in tables}
        found = {keys[key]: KnownFiles.from_text(text) for key, text in self.storage.get_cursor_values({*keys}).items()}
        return {unique_id: known for unique_id, known in found.items() if known}

    def write(self, table: LandedTable, known: KnownFiles) -> None:
        """Store the known files of a table."""
        self.storage.set_cursor_values({self._key(table): known.to_text()})

    def _key(self, table: LandedTable) -> str:
        place = repr((self.landing_url, self.target, table.schema, table.identifier))
        return f"analytics_dagster/landing/{table.unique_id}/{_id(place):016x}"


def _id(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_ID_BYTES).digest(), "big")


def _pack(ids: Iterable[int]) -> str:
    return base64.b64encode(b"".join(one.to_bytes(_ID_BYTES, "big") for one in sorted(ids))).decode("ascii")


def _unpack(text: str) -> frozenset[int]:
    packed = base64.b64decode(text, validate=True)
    return frozenset(int.from_bytes(packed[at : at + _ID_BYTES], "big") for at in range(0, len(packed), _ID_BYTES))
