"""The types and values that files are parsed to, and the reasons why files are malformed."""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analytics_dagster.ingestion.column_types import declared_type
from analytics_dagster.ingestion.columns import KnownColumns, agree, combine, fit
from analytics_dagster.ingestion.parsing import MalformedFileError, parse


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def types_of(*contents: bytes, file_format: Any = "csv") -> Mapping[str, str]:
    files = [parse(content, file_format, "x") for content in contents]
    return {name: str(found) for name, found in agree(files, KnownColumns(), file_format).items()}


def known(*declared: str, **types: str) -> KnownColumns:
    """Return columns of these types, inferred except those that are named."""
    return KnownColumns({name: found for name, text in types.items() if (found := declared_type(text))}, declared)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-2", ""], "bigint"),
        (["1", "2.5"], "double"),
        (["007", "8"], "text"),
        (["99999999999999999999", "1"], "text"),
        (["12345678901234567", "0.5"], "text"),
        (["0.30000000000000004", "12.500000000000000000"], "double"),
        (["0.123456789012345678"], "text"),
        (["true", "FALSE"], "bool"),
        (["2026-01-01"], "date"),
        (["2026-01-01", "2026-13-01"], "text"),
        (["2026-01-01T10:00:00+02:00", "2026-01-01 10:00:00"], "timestamp"),
        (["2026-01-01T10:00:00.123456789Z"], "timestamp"),
        (["9999-12-31T00:00:00"], "timestamp"),
        (["nan", "1"], "text"),
        (["N/A", "1"], "text"),
        ([""], None),
        (['""'], "text"),
    ],
)
def test_csv_columns_get_sensible_types(values: list[str], expected: str | None) -> None:
    content = "\n".join(["key,value", *(f"k,{value}" for value in values)]).encode()
    assert types_of(content).get("value") == expected


def test_csv_values_are_converted_to_their_types() -> None:
    content = b"\xef\xbb\xbfid,at,day,price\r\na,2026-01-01T10:00:00+02:00,2026-01-01,1.5\r\n"
    price = known("price", price="decimal")
    parsed = fit(parse(content, "csv", "x"), price, ["id"]).parsed
    types = agree([parsed], price, "csv")
    assert combine([parsed], types).to_pylist() == [
        {
            "id": "a",
            "at": datetime(2026, 1, 1, 8, tzinfo=timezone.utc),
            "day": date(2026, 1, 1),
            "price": Decimal("1.500000000"),
        }
    ]


def test_a_column_with_numbers_and_words_is_text_without_loss() -> None:
    files = [parse(b"v\n1\n", "csv", "x"), parse(b"v\nmany\n", "csv", "x")]
    assert combine(files, agree(files, KnownColumns(), "csv")).column("v").to_pylist() == ["1", "many"]


def test_parquet_is_converted_to_plain_types() -> None:
    table = pa.table(
        {
            "n": pa.array([1], pa.uint8()),
            "d": pa.array(["x"]).dictionary_encode(),
            "naive": pa.array([datetime(2026, 1, 1)], pa.timestamp("ns")),  # noqa: DTZ001 - files have such
            "zoned": pa.array([datetime(2026, 1, 1, tzinfo=timezone.utc)], pa.timestamp("ms", tz="Europe/Berlin")),
            "tags": pa.array([["a", "b"]]),
            "money": pa.array([Decimal("1.25")]),
            "nothing": pa.nulls(1),
        }
    )
    parsed = parse(parquet(table), "parquet", "x")
    types = agree([parsed], KnownColumns(), "parquet")
    assert {name: str(found) for name, found in types.items()} == {
        "n": "bigint",
        "d": "text",
        "naive": "timestamp",
        "zoned": "timestamp",
        "tags": "json",
        "money": "decimal(3,2)",
    }
    (row,) = combine([parsed], types).to_pylist()
    assert row["naive"] == row["zoned"] == datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert row["tags"] == '["a", "b"]'


def test_json_lines_keep_their_types_and_nested_values_are_json_text() -> None:
    content = b'{"n":1,"at":"2026-01-01T00:00:00Z","o":{"x":1}}\n\n{"n":1.5,"m":true}\n{"m":"word"}\n'
    assert types_of(content, file_format="jsonl") == {"n": "double", "at": "timestamp", "o": "json", "m": "text"}
    parsed = parse(content, "jsonl", "x")
    rows = combine([parsed], agree([parsed], KnownColumns(), "jsonl")).to_pylist()
    assert [row["m"] for row in rows] == [None, "true", "word"]


def test_a_compressed_file_is_recognized_by_its_suffix() -> None:
    assert parse(gzip.compress(b"a\n1\n"), "csv", "x.csv.gz").table.to_pylist() == [{"a": "1"}]


@pytest.mark.parametrize(
    ("content", "file_format", "path", "reason"),
    [
        (b"a,b\n1,2\n3\n", "csv", "x", "Expected 2 columns, got 1"),
        (b"a\n\xff\n", "csv", "x", "byte 2 can't be decoded"),
        (b"", "csv", "x", "without a header"),
        (b"a,A\n1,2\n", "csv", "x", "several columns of the same name: a"),
        (b"not gzip", "csv", "x.gz", "can't be read as csv"),
        (b'{"a":1}\n{"a":', "jsonl", "x", "line 2 is not JSON"),
        (b"[1]", "jsonl", "x", "line 1 is JSON, but not an object"),
        (b"\xff", "jsonl", "x", "can't be decoded"),
        (parquet(pa.table({"a": [1]}))[:-9], "parquet", "x", "can't be read as parquet"),
        (b"", "parquet", "x", "can't be read as parquet"),
        (
            parquet(pa.table({"a": pa.array([1], pa.duration("s"))})),
            "parquet",
            "x",
            "column 'a' has the type duration",
        ),
    ],
)
def test_a_malformed_file_is_an_error_with_the_reason(content: bytes, file_format: Any, path: str, reason: str) -> None:
    with pytest.raises(MalformedFileError) as caught:
        parse(content, file_format, path)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected", "reason"),
    [
        (b"name\nx\n", {}, "lacks the key column id; it has name"),
        (b"id,v\n,1\n", {}, "key column 'id' is empty in 1 rows"),
        (b"id,v\n1,2.5\n", {"v": "bigint"}, "column 'v' does not fit its type bigint: Failed to parse string: '2.5'"),
        (b"id,v\n1,soon\n", {"v": "timestamp"}, "column 'v' does not fit its type timestamp"),
        (b"id,_landed_file\n1,x\n", {}, "'_landed_file' is reserved"),
        (b"id,_dlt_load_id\n1,x\n", {}, "'_dlt_load_id' is reserved"),
        (b"id,_DLT id\n1,x\n", {}, "'_dlt_id' is reserved"),
    ],
)
def test_a_file_that_does_not_fit_is_an_error_with_the_reason(
    content: bytes, expected: dict[str, str], reason: str
) -> None:
    with pytest.raises(MalformedFileError) as caught:
        fit(parse(content, "csv", "x"), known(*expected, **expected), ["id"])
    assert reason in str(caught.value)


def rows(*pairs: tuple[str, int | None, str]) -> pa.Table:
    columns = list(zip(*pairs, strict=True))
    return pa.table({"id": columns[0], "at": pa.array(columns[1], pa.int64()), "v": columns[2]})
