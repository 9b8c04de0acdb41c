"""Reads files of the landing zone in parallel and fits them to the columns of their table."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from logging import Logger

from analytics_dagster.ingestion.columns import Fitted, KnownColumns, fit
from analytics_dagster.ingestion.landing import LandedFile, Landing
from analytics_dagster.ingestion.parsing import MalformedFileError, Parsed, malformed_on_error, parse
from analytics_dagster.ingestion.tables import LandedTable
from analytics_dagster.text import printable

READERS = 8
"""The number of files that are read in parallel: reading from an object store is mostly waiting."""

_LOG_INTERVAL = 15.0  # seconds


@dataclass(frozen=True)
class ReadFile:
    """A file that was read. ``remarks`` say what users should know about its rows."""

    file: LandedFile
    fitted: Fitted
    content_hash: str
    remarks: tuple[str, ...] = ()

    @property
    def parsed(self) -> Parsed:
        """Its rows."""
        return self.fitted.parsed


def read_files(
    table: LandedTable, landing: Landing, files: Sequence[LandedFile], known: KnownColumns, log: Logger
) -> list[tuple[LandedFile, ReadFile | Exception]]:
    """Return each file with its content, or with the reason why it has none.

    The reasons are `MalformedFileError`, `PermissionError`, and `FileNotFoundError` for a file that was deleted after
    it was listed. Raises `LandingZoneError`.
    """

    def read(file: LandedFile) -> ReadFile | Exception:
        if printable(file.path) != file.path:
            return MalformedFileError("its name is not UTF-8 text")
        try:
            content = landing.read(file.path)
            parsed = parse(content, table.format, file.path)
            with malformed_on_error(table.format):
                fitted = fit(parsed, known, table.primary_key)
            return ReadFile(file, fitted, hashlib.blake2b(content, digest_size=16).hexdigest(), fitted.notes)
        except (MalformedFileError, FileNotFoundError, PermissionError) as error:
            return error

    results = list[tuple[LandedFile, ReadFile | Exception]]()
    logged = time.monotonic()
    with ThreadPoolExecutor(READERS) as readers:
        for file, result in zip(files, readers.map(read, files), strict=True):
            results.append((file, result))
            if isinstance(result, FileNotFoundError):
                log.info(f"{file.path} was deleted after it was listed")
            if time.monotonic() - logged > _LOG_INTERVAL:
                logged = time.monotonic()
                log.info(f"{table.identifier}: read {len(results):,} of {len(files):,} files")
    return results
