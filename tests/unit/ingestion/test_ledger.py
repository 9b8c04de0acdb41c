"""Which files are new, and which need a correction."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from analytics_dagster.ingestion.landing import LandedFile
from analytics_dagster.ingestion.ledger import (
    FileStatus,
    LedgerEntry,
    latest,
    left_in_place,
    new_files,
    remarks,
    same_content,
)

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
    assert left_in_place([landed("a")], ledger(left, moved)) == [left]
    assert left_in_place([landed("a", 1)], ledger(left)) == []


def test_a_file_name_that_is_not_utf8_is_stored_escaped_and_found_again() -> None:
    odd = landed("orders/\udcff.csv")
    entry = LedgerEntry(odd, FileStatus.REJECTED, reason="its name: \udcff\0")
    row = entry.row("orders")
    assert (row["path"], row["reason"]) == ("orders/\\udcff.csv", "its name: \\udcff\\x00")
    assert new_files([odd], ledger(entry)) == []
    assert [one.reason for one in left_in_place([odd], ledger(entry))] == [row["reason"]]


def test_remarks_are_those_of_the_last_load_and_not_of_rejected_files() -> None:
    entries = (
        LedgerEntry(landed("a"), FileStatus.LOADED, reason="earlier", recorded_at=NOON - timedelta(days=1)),
        LedgerEntry(landed("b"), FileStatus.LOADED, reason="now", recorded_at=NOON),
        LedgerEntry(landed("c"), FileStatus.REJECTED, reason="broken", recorded_at=NOON),
        LedgerEntry(landed("d"), FileStatus.LOADED, recorded_at=NOON),
    )
    assert [entry.reason for entry in remarks(ledger(*entries))] == ["now"]
    assert remarks({}) == []


def test_files_with_the_same_content_are_found_by_their_hash() -> None:
    entries = (
        LedgerEntry(landed("a"), FileStatus.LOADED, content_hash="1"),
        LedgerEntry(landed("b"), FileStatus.LOADED, content_hash="2"),
        LedgerEntry(landed("c"), FileStatus.REJECTED, content_hash="1"),
        LedgerEntry(landed("d"), FileStatus.LOADED),
        LedgerEntry(landed("e"), FileStatus.LOADED, content_hash="1"),
    )
    assert [entry.file.path for entry in same_content("1", ledger(*entries))] == ["e", "a"]


def test_a_ledger_of_an_earlier_version_has_no_hashes() -> None:
    row = LedgerEntry(landed("a"), FileStatus.LOADED, recorded_at=NOON).row("orders")
    del row["content_hash"]
    assert latest([row])["a"].content_hash is None
