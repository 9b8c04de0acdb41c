"""Which files are new, and which need a correction."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from analytics_dagster.ingestion.landing import LandedFile
from analytics_dagster.ingestion.ledger import FileStatus, LedgerEntry, latest, new_files, still_malformed

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def landed(path: str, minute: int = 0, size: int = 1) -> LandedFile:
    return LandedFile(path, size, NOON + timedelta(minutes=minute))


def ledger(*entries: LedgerEntry) -> dict[str, LedgerEntry]:
    return latest(entry.row("orders") for entry in entries)


@pytest.mark.parametrize(
    ("files", "entries", "expected"),
    [
        ([landed("b"), landed("a")], [], ["a", "b"]),
        ([landed("a", 1), landed("b", 0)], [], ["b", "a"]),
        ([landed("a")], [LedgerEntry(landed("a"), FileStatus.LOADED)], []),
        ([landed("a", 1)], [LedgerEntry(landed("a"), FileStatus.LOADED)], ["a"]),
        ([landed("a", size=2)], [LedgerEntry(landed("a"), FileStatus.LOADED)], ["a"]),
        ([landed("a", -99)], [LedgerEntry(landed("b"), FileStatus.LOADED)], ["a"]),
        ([landed("a")], [LedgerEntry(landed("a"), FileStatus.REJECTED)], []),
        ([landed("a")], [LedgerEntry(landed("a"), FileStatus.REJECTED, moved_to="_rejected/a")], ["a"]),
        (
            [landed("a", 1)],
            [LedgerEntry(landed("a"), FileStatus.LOADED), LedgerEntry(landed("a", 1), FileStatus.LOADED)],
            [],
        ),
    ],
)
def test_a_file_is_new_unless_the_ledger_has_this_version(
    files: list[LandedFile], entries: list[LedgerEntry], expected: list[str]
) -> None:
    assert [file.path for file in new_files(files, ledger(*entries))] == expected


def test_a_malformed_file_that_was_not_moved_needs_a_correction_until_it_changes() -> None:
    left = LedgerEntry(landed("a"), FileStatus.REJECTED)
    moved = LedgerEntry(landed("b"), FileStatus.REJECTED, moved_to="_rejected/b")
    assert still_malformed([landed("a")], ledger(left, moved)) == [left, moved]
    assert still_malformed([landed("a", 1)], ledger(left)) == []
