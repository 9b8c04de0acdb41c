"""Which version of a row is written."""

from __future__ import annotations

import pyarrow as pa
import pytest

from analytics_dagster.ingestion.dedupe import could_be_newer, newest


def rows(*pairs: tuple[str, int | None, str]) -> pa.Table:
    columns = list(zip(*pairs, strict=True))
    return pa.table({"id": columns[0], "at": pa.array(columns[1], pa.int64()), "v": columns[2]})


@pytest.mark.parametrize(
    ("incoming", "held", "expected"),
    [
        ([("a", 1, "old"), ("a", 2, "new")], [], ["new"]),
        ([("a", 2, "new"), ("a", 1, "old")], [], ["new"]),
        ([("a", 1, "first"), ("a", 1, "last")], [], ["last"]),
        ([("a", None, "null"), ("a", 1, "one")], [], ["one"]),
        ([("a", None, "null")], [("a", 1, "")], []),
        ([("a", 1, "old")], [("a", 2, "")], []),
        ([("a", 2, "same")], [("a", 2, "")], ["same"]),
        ([("a", 3, "new"), ("b", 1, "other")], [("a", 2, "")], ["new", "other"]),
    ],
)
def test_the_newest_version_of_a_row_wins(
    incoming: list[tuple[str, int | None, str]], held: list[tuple[str, int | None, str]], expected: list[str]
) -> None:
    found = newest(rows(*incoming), ["id"], "at", rows(*held) if held else None)
    assert found.column("v").to_pylist() == expected


def test_without_a_cursor_the_last_arrival_wins() -> None:
    found = newest(rows(("a", 2, "first"), ("a", 1, "last")), ["id"], None, None)
    assert found.column("v").to_pylist() == ["last"]


def test_only_rows_above_the_lowest_incoming_cursor_are_queried() -> None:
    assert could_be_newer(rows(("a", 5, ""), ("b", 3, "")), "at") == ('"at" > ?', [3])
    assert could_be_newer(rows(("a", None, "")), "at") == ('"at" is not null', [])
