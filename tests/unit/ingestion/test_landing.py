"""What dbt sources declare, what waits in the landing zone, and what a file's bytes come to."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analytics_dagster.errors import LandingZoneError, ProjectError
from analytics_dagster.ingestion.columns import agree, combine, fit
from analytics_dagster.ingestion.dedupe import could_be_newer, newest
from analytics_dagster.ingestion.landing import LandedFile, Landing
from analytics_dagster.ingestion.ledger import FileStatus, LedgerEntry, latest, new_files, still_malformed
from analytics_dagster.ingestion.parsing import MalformedFileError, parse
from analytics_dagster.ingestion.tables import DataType, LandedTable, column_name, landed_tables, sql_type

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
ORDERS = LandedTable("source.p.shop.orders", "shop", "orders", "raw", "orders", "orders/**/*.csv", "csv")


def source(landing: Any, **more: Any) -> dict[str, Any]:
    return {
        "source_name": "shop",
        "name": "orders",
        "schema": "raw",
        "identifier": "orders_v2",
        "original_file_path": "models/shop.yml",
        "meta": {"landing": landing},
        **more,
    }


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


# --- declarations -------------------------------------------------------------------------------------------


def test_a_source_with_landing_metadata_is_a_landed_table() -> None:
    landing = {
        "path": "orders/**/*.parquet",
        "format": "parquet",
        "primary_key": ["ID"],
        "cursor": "updated_at",
        "columns": {"price": "bigint"},
    }
    columns = {"id": {"data_type": "VARCHAR(36)"}, "price": {"data_type": "numeric(18,2)"}, "note": {"data_type": None}}
    (table,) = landed_tables({"source.p.shop.orders": source(landing, columns=columns), "other": {"meta": {}}})
    assert (table.unique_id, table.schema, table.identifier) == ("source.p.shop.orders", "raw", "orders_v2")
    assert table.primary_key == ("id",)
    assert table.columns == {"id": "text", "price": "bigint"}  # landing.columns wins over data_type
    assert table.untyped == ("note", "updated_at")


def test_landing_metadata_may_stand_under_config_and_a_key_may_be_one_name() -> None:
    node = source(None, meta={}, config={"meta": {"landing": {"path": "a.csv", "format": "csv", "primary_key": "id"}}})
    assert landed_tables({"s": node})[0].primary_key == ("id",)


@pytest.mark.parametrize(
    ("landing", "said"),
    [
        ({"path": "a.csv", "format": "csv", "primry_key": ["id"]}, "landing.primry_key: is not a known key"),
        ({"path": "a.xlsx", "format": "excel"}, "landing.format"),
        ({"format": "csv"}, "landing.path: Field required"),
        ({"path": "/abs/*.csv", "format": "csv"}, "glob relative to the landing zone"),
        ({"path": "../*.csv", "format": "csv"}, "glob relative to the landing zone"),
        ({"path": "a.csv", "format": "csv", "columns": {"price": "money"}}, "landing.columns.price"),
        ("orders", "landing"),
        (None, "landing.path"),
    ],
)
def test_a_wrong_declaration_is_an_error_that_names_table_file_and_remedy(landing: Any, said: str) -> None:
    with pytest.raises(ProjectError) as caught:
        landed_tables({"s": source(landing)})
    assert said in caught.value.problem
    assert "shop.orders in models/shop.yml" in caught.value.problem
    assert "primary_key" in caught.value.remedy


@pytest.mark.parametrize(
    ("path", "folder"),
    [("orders/**/*.csv", "orders"), ("a/b/c.csv", "a/b"), ("*.csv", ""), ("a/202?/b/*.csv", "a"), ("x.csv", "")],
)
def test_only_the_folder_before_the_first_wildcard_is_listed(path: str, folder: str) -> None:
    assert LandedTable("u", "s", "t", "raw", "t", path, "csv").folder == folder


@pytest.mark.parametrize(
    ("name", "expected"),
    [("id", "id"), ("Order ID", "order_id"), (" ID ", "id"), ("price ($)", "price_"), ("2nd", "_2nd"), ("", "_")],
)
def test_columns_have_names_that_need_no_quoting(name: str, expected: str) -> None:
    assert column_name(name) == expected


@pytest.mark.parametrize(
    ("sql", "expected"), [("TIMESTAMP WITH TIME ZONE", "timestamp"), ("decimal(18, 2)", "decimal"), ("point", None)]
)
def test_usual_sql_types_are_known(sql: str, expected: DataType | None) -> None:
    assert sql_type(sql) == expected


# --- the landing zone ---------------------------------------------------------------------------------------


def put(folder: Path, path: str, content: bytes = b"id\n1\n", modified: datetime | None = None) -> Path:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    if modified:
        os.utime(file, (modified.timestamp(), modified.timestamp()))
    return file


def test_files_of_a_table_are_listed_in_order_and_hidden_ones_are_passed_over(tmp_path: Path) -> None:
    for path in ("orders/b.csv", "orders/2026/01/a.csv", "items/a.csv", "orders/a.txt"):
        put(tmp_path, path, modified=NOON)
    for path in ("_rejected/orders/x.csv", "orders/_tmp/x.csv", "orders/.x.csv.part", "orders/.x.csv", "orders/_x.csv"):
        put(tmp_path, path)
    expected = (LandedFile("orders/2026/01/a.csv", 5, NOON), LandedFile("orders/b.csv", 5, NOON))
    assert Landing(str(tmp_path)).list_files(ORDERS) == expected
    assert Landing(f"file://{tmp_path}/").list_files(ORDERS) == expected


def test_a_landing_zone_may_be_any_fsspec_url() -> None:
    url = f"memory://{uuid4().hex}"
    fsspec.filesystem("memory").pipe_file(f"{url}/orders/a.csv", b"id\n1\n")
    landing = Landing(url)
    (file,) = landing.list_files(ORDERS)
    assert (file.path, file.size, file.modified.tzinfo) == ("orders/a.csv", 5, timezone.utc)
    assert landing.read(file.path) == b"id\n1\n"
    assert landing.quarantine(file, "broken") == "_rejected/orders/a.csv"
    assert landing.list_files(ORDERS) == ()
    assert landing.read("_rejected/orders/a.csv.reason.txt") == b"orders/a.csv: broken\n"


def test_a_file_younger_than_the_settle_time_waits(tmp_path: Path) -> None:
    put(tmp_path, "orders/a.csv", modified=NOON)
    landing = Landing(str(tmp_path), settle_seconds=60)
    assert landing.list_files(ORDERS, now=NOON + timedelta(seconds=59)) == ()
    assert len(landing.list_files(ORDERS, now=NOON + timedelta(seconds=60))) == 1


def test_a_landing_zone_without_files_of_the_table_is_fine(tmp_path: Path) -> None:
    assert Landing(str(tmp_path)).list_files(ORDERS) == ()


def test_a_missing_folder_is_an_error_that_names_it_and_the_variable(tmp_path: Path) -> None:
    with pytest.raises(LandingZoneError, match="nowhere") as caught:
        Landing(str(tmp_path / "nowhere")).list_files(ORDERS)
    assert "ANALYTICS_LANDING_URL" in caught.value.remedy


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense://bucket/x", "nonsense"),
        ("gs://bucket/landing", "gcsfs"),
        ("http://127.0.0.1:9/landing", "can't be read"),
        ("sftp://me:sesame@127.0.0.1:9/x", "can't be read"),
    ],
)
def test_a_url_that_cannot_be_read_is_an_error_with_the_cause_and_no_secret(url: str, said: str) -> None:
    options = {"key": "AKIAEXAMPLE", "client_kwargs": {"aws_secret_access_key": "hunter2"}}
    with pytest.raises(LandingZoneError) as caught:
        Landing(url, options=options).list_files(ORDERS)
    assert said in str(caught.value)
    assert not any(secret in str(caught.value) for secret in ("AKIAEXAMPLE", "hunter2", "sesame"))
    assert caught.value.__cause__ is None


def test_an_error_of_the_driver_is_shown_without_the_secrets_it_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    class DeniedError(Exception):
        pass

    def deny(*_: object, **__: object) -> None:
        raise DeniedError("403 for key AKIAEXAMPLE with secret hunter2 at http://s3.local")

    memory = fsspec.filesystem("memory").__class__
    monkeypatch.setattr(memory, "find", deny)
    options = {"key": "AKIAEXAMPLE", "secret": "hunter2", "endpoint_url": "http://s3.local"}
    with pytest.raises(
        LandingZoneError, match=r"DeniedError: 403 for key \*\*\* with secret \*\*\* at http://s3.local"
    ):
        Landing("memory://x", options=options).list_files(ORDERS)


def test_secrets_are_not_in_the_representation_of_a_landing_zone() -> None:
    assert "hunter2" not in repr(Landing("s3://b", options={"secret": "hunter2"}))


def test_a_second_malformed_file_of_one_name_does_not_replace_the_first(tmp_path: Path) -> None:
    landing = Landing(str(tmp_path))
    for content in (b"first", b"second"):
        put(tmp_path, "orders/a.csv", content, modified=NOON)
        (file,) = landing.list_files(ORDERS)
        landing.quarantine(file, "broken")
    kept = {path.read_bytes() for path in (tmp_path / "_rejected/orders").glob("*.csv")}
    assert kept == {b"first", b"second"}


# --- the ledger ---------------------------------------------------------------------------------------------


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
def test_a_file_is_new_unless_the_ledger_has_this_version_of_it(
    files: list[LandedFile], entries: list[LedgerEntry], expected: list[str]
) -> None:
    assert [file.path for file in new_files(files, ledger(*entries))] == expected


def test_a_rejected_file_left_in_place_waits_for_repair_until_it_changes() -> None:
    left = LedgerEntry(landed("a"), FileStatus.REJECTED)
    moved = LedgerEntry(landed("b"), FileStatus.REJECTED, moved_to="_rejected/b")
    assert still_malformed([landed("a")], ledger(left, moved)) == [left, moved]
    assert still_malformed([landed("a", 1)], ledger(left)) == []


# --- parsing and types --------------------------------------------------------------------------------------


def types_of(content: bytes, file_format: Any = "csv") -> Mapping[str, DataType]:
    return agree([parse(content, file_format, "x")], {}, file_format)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-2", ""], "bigint"),
        (["1", "2.5"], "double"),
        (["007", "8"], "text"),
        (["99999999999999999999", "1"], "double"),
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
def test_csv_columns_get_sensible_types(values: list[str], expected: DataType | None) -> None:
    content = "\n".join(["key,value", *(f"k,{value}" for value in values)]).encode()
    assert types_of(content).get("value") == expected


def test_csv_values_become_what_they_say() -> None:
    content = b"\xef\xbb\xbfid,at,day,price\r\na,2026-01-01T10:00:00+02:00,2026-01-01,1.5\r\n"
    parsed = fit(parse(content, "csv", "x"), {"price": "decimal"}, ["id"])
    types = agree([parsed], {"price": "decimal"}, "csv")
    assert combine([parsed], types).to_pylist() == [
        {
            "id": "a",
            "at": datetime(2026, 1, 1, 8, tzinfo=timezone.utc),
            "day": date(2026, 1, 1),
            "price": Decimal("1.500000000"),
        }
    ]


def test_one_file_with_words_in_a_column_of_numbers_makes_it_text_and_loses_nothing() -> None:
    files = [parse(b"v\n1\n", "csv", "x"), parse(b"v\nmany\n", "csv", "x")]
    assert combine(files, agree(files, {}, "csv")).column("v").to_pylist() == ["1", "many"]


def test_parquet_comes_in_plain_types() -> None:
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
    types = agree([parsed], {}, "parquet")
    assert types == {
        "n": "bigint",
        "d": "text",
        "naive": "timestamp",
        "zoned": "timestamp",
        "tags": "json",
        "money": "decimal",
    }
    (row,) = combine([parsed], types).to_pylist()
    assert row["naive"] == row["zoned"] == datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert row["tags"] == '["a", "b"]'


def test_json_lines_keep_their_types_and_nest_as_json_text() -> None:
    content = b'{"n":1,"at":"2026-01-01T00:00:00Z","o":{"x":1}}\n\n{"n":1.5,"m":true}\n{"m":"word"}\n'
    assert types_of(content, "jsonl") == {"n": "double", "at": "timestamp", "o": "json", "m": "text"}
    parsed = parse(content, "jsonl", "x")
    rows = combine([parsed], agree([parsed], {}, "jsonl")).to_pylist()
    assert [row["m"] for row in rows] == [None, "true", "word"]


def test_a_compressed_file_is_read_by_its_ending() -> None:
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
def test_a_malformed_file_says_what_is_wrong(content: bytes, file_format: Any, path: str, reason: str) -> None:
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
    ],
)
def test_a_file_that_does_not_fit_says_what_is_wrong(
    content: bytes, expected: dict[str, DataType], reason: str
) -> None:
    with pytest.raises(MalformedFileError) as caught:
        fit(parse(content, "csv", "x"), expected, ["id"])
    assert reason in str(caught.value)


# --- versions of a row --------------------------------------------------------------------------------------


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


def test_without_a_cursor_the_last_to_arrive_wins() -> None:
    found = newest(rows(("a", 2, "first"), ("a", 1, "last")), ["id"], None, None)
    assert found.column("v").to_pylist() == ["last"]


def test_only_held_rows_above_the_least_incoming_cursor_are_asked_for() -> None:
    assert could_be_newer(rows(("a", 5, ""), ("b", 3, "")), "at") == ('"at" > ?', [3])
    assert could_be_newer(rows(("a", None, "")), "at") == ('"at" is not null', [])
