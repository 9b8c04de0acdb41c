"""The landing zone: lists and reads the files of a table, and quarantines malformed ones."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from analytics_dagster.errors import LandingZoneError
from analytics_dagster.ingestion.tables import LandedTable
from analytics_dagster.settings import variable_name
from analytics_dagster.text import printable
from analytics_dagster.warehouse.fsspec_errors import cause_of, remedy_of, shown

REJECTED = "_rejected"
"""The folder of the landing zone to which malformed files are moved."""

_REASON = ".reason.txt"
_HIDDEN = ("_", ".")
_MODIFIED_KEYS = ("mtime", "LastModified", "last_modified", "updated", "created")

T = TypeVar("T")


@dataclass(frozen=True, order=True)
class LandedFile:
    """One version of a file: ``path`` is relative to the landing zone, ``size`` in bytes, ``modified`` in UTC."""

    path: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class Landing:
    """A folder or any fsspec URL in which raw files arrive.

    Files younger than ``settle_seconds`` are ignored, for writers that do not write atomically. ``options`` are
    fsspec's for the protocol of the URL. They may hold secrets: they are in no error and no `repr`.
    """

    url: str
    settle_seconds: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def shown(self) -> str:
        """The URL without user and password."""
        return shown(self.url)

    def list_files(self, table: LandedTable, *, now: datetime | None = None) -> tuple[LandedFile, ...]:
        """Return the files of a table, sorted by path, without files and folders that begin with `_` or `.`.

        Raises `LandingZoneError` if the landing zone does not exist or can't be read.
        """
        youngest = (now or datetime.now(tz=timezone.utc)) - timedelta(seconds=self.settle_seconds)
        found = self._try(lambda filesystem, root: self._find(filesystem, root, table, must_exist=True))
        return tuple(sorted(file for file in found if self.settle_seconds == 0 or file.modified <= youngest))

    def read(self, path: str) -> bytes:
        """Return the bytes of a file.

        Raises `FileNotFoundError` or `PermissionError` about this file, `LandingZoneError` for anything else.
        """
        return self._try(lambda filesystem, root: bytes(filesystem.cat_file(f"{root}/{path}")), of_one_file=True)

    def exists(self, path: str) -> bool:
        """Return whether a file exists; raises `LandingZoneError` if the landing zone can't be read."""
        return self._try(lambda filesystem, root: bool(filesystem.exists(f"{root}/{path}")))

    def quarantine_path(self, file: LandedFile) -> str:
        """Return the path below `_rejected` to which a malformed file is moved; an earlier file there is kept."""
        target = posixpath.join(REJECTED, file.path)
        if not self.exists(target):
            return target
        stem, suffix = posixpath.splitext(target)
        return f"{stem}.{file.modified:%Y%m%dT%H%M%S%fZ}{suffix}"

    def quarantine(self, file: LandedFile, target: str, reason: str) -> bool:
        """Move a malformed file and write the reason to a file beside it; return whether that was possible."""
        filesystem, root = self._open()
        try:
            filesystem.makedirs(posixpath.dirname(f"{root}/{target}"), exist_ok=True)
            filesystem.pipe_file(f"{root}/{target}{_REASON}", printable(f"{file.path}: {reason}\n").encode())
            filesystem.mv(f"{root}/{file.path}", f"{root}/{target}")
        except Exception:  # noqa: BLE001 - each fsspec driver has its own errors
            return False
        return True

    def quarantined(self, table: LandedTable) -> dict[str, str]:
        """Return the files of a table below `_rejected`, with the reason that is written beside each."""
        found = self._try(
            lambda filesystem, root: self._find(filesystem, f"{root}/{REJECTED}", table, must_exist=False)
        )
        paths = [posixpath.join(REJECTED, file.path) for file in found if not file.path.endswith(_REASON)]
        return {path: self._reason(path) for path in sorted(paths)}

    def _reason(self, path: str) -> str:
        try:
            return self.read(f"{path}{_REASON}").decode("utf-8", "replace").strip().partition(": ")[2]
        except (FileNotFoundError, PermissionError):
            return "the reason is not known"

    def _find(self, filesystem: Any, root: str, table: LandedTable, *, must_exist: bool) -> list[LandedFile]:
        from fsspec.implementations.local import LocalFileSystem  # see `_open`
        from fsspec.utils import glob_translate  # see `_open`

        if must_exist and isinstance(filesystem, LocalFileSystem) and not filesystem.isdir(root):
            raise LandingZoneError(
                f"The landing zone {self.shown} does not exist.",
                remedy=f"Create the folder, or set another with {variable_name('landing_url')}.",
            )
        filesystem.invalidate_cache()  # drivers of object stores cache listings
        pattern = re.compile(glob_translate(table.path))
        found = filesystem.find(posixpath.join(root, table.folder).rstrip("/"), detail=True)
        files = []
        for address, info in found.items():
            path = address[len(root) :].lstrip("/")
            if (
                info.get("type") == "file"
                and pattern.match(path)
                and not any(part.startswith(_HIDDEN) for part in path.split("/"))
            ):
                named = (info[key] for key in _MODIFIED_KEYS if info.get(key))
                modified = next(named, None) or filesystem.modified(address)
                files.append(LandedFile(path, int(info.get("size") or 0), _utc(modified)))
        return files

    def _try(self, action: Callable[[Any, str], T], *, of_one_file: bool = False) -> T:
        filesystem, root = self._open()
        try:
            return action(filesystem, root)
        except LandingZoneError:
            raise
        except Exception as error:  # each fsspec driver has its own errors, and not all are OSErrors
            if of_one_file and isinstance(error, FileNotFoundError | PermissionError):
                raise
            raise self._unreadable(error) from None

    def _open(self) -> tuple[Any, str]:
        try:
            # Takes a tenth of a second, which a load of the location does not need.
            import fsspec

            filesystem, root = fsspec.core.url_to_fs(self.url, **self.options)
        except Exception as error:  # noqa: BLE001 - a missing driver, an unknown protocol, a driver's own errors
            raise self._unreadable(error) from None
        return filesystem, str(root).rstrip("/")

    def _unreadable(self, error: Exception) -> LandingZoneError:
        return LandingZoneError(
            f"The landing zone {self.shown} can't be read: {cause_of(error, self.url, self.options)}",
            remedy=remedy_of(error, "landing_url"),
        )


def _utc(moment: Any) -> datetime:
    """Return a driver's timestamp (a datetime, ISO text or seconds since 1970) in UTC."""
    if isinstance(moment, (int, float)):
        return datetime.fromtimestamp(moment, tz=timezone.utc)
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    if not isinstance(moment, datetime):
        raise TypeError(f"no modification time: {moment!r}")
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
