"""Files whose types, columns, names or rows differ from those of earlier files: no value is changed silently."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analytics_dagster.ingestion.tables import LandedTable
from tests.integration.landing import EVENTS, ORDERS, Shop

pytestmark = pytest.mark.integration

CSV = replace(EVENTS, path="t/*", identifier="t")
JSONL = replace(CSV, format="jsonl")
PARQUET = replace(CSV, format="parquet")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    (tmp_path / "landing").mkdir()
    return Shop(tmp_path)


def parquet(*values: Any, kind: pa.DataType) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"v": pa.array(values, kind)}), sink)
    return sink.getvalue()


def csv(*values: str) -> bytes:
    return "\n".join(["k,v", *(f"k,{value}" for value in values)]).encode()


def jsonl(*values: str) -> bytes:
    return "\n".join(f'{{"v": {value}}}' for value in values).encode()


def money(value: str, precision: int, scale: int) -> bytes:
    return parquet(Decimal(value), kind=pa.decimal128(precision, scale))


# --- types ----------------------------------------------------------------------------------------------------

MOMENT = datetime(2026, 1, 1, tzinfo=timezone.utc)
HOUR = datetime(2026, 1, 1, 5, tzinfo=timezone.utc)


INTEGER, DATE = parquet(7, kind=pa.int64()), parquet(date(2026, 1, 1), kind=pa.date32())
ONE, PRICE, BIG = money("1.25", 10, 2), Decimal("1.25"), Decimal(12345678901234567890)
WIDER = [
    (CSV, csv("10"), csv("10.5"), "DOUBLE", [10.0, 10.5]),
    (CSV, csv("10.5"), csv("10"), "DOUBLE", [10.5, 10.0]),
    (CSV, csv("2026-01-01"), csv("2026-01-01T05:00:00Z"), "TIMESTAMP WITH TIME ZONE", [MOMENT, HOUR]),
    (CSV, csv("2026-01-01T05:00:00"), csv("2026-01-01"), "TIMESTAMP WITH TIME ZONE", [HOUR, MOMENT]),
    (CSV, csv("word"), csv("007"), "VARCHAR", ["word", "007"]),
    (CSV, csv("10"), csv("12345678901234567890"), "DECIMAL(20,0)", [Decimal(10), BIG]),
    (JSONL, jsonl("10"), jsonl("10.5"), "DOUBLE", [10.0, 10.5]),
    (JSONL, jsonl("10"), jsonl("10.0"), "BIGINT", [10, 10]),
    (JSONL, jsonl("1"), jsonl("12345678901234567890"), "DECIMAL(20,0)", [Decimal(1), BIG]),
    (JSONL, jsonl('"a"'), jsonl("1"), "VARCHAR", ["a", "1"]),
    (JSONL, jsonl('{"a":1}'), jsonl("[1.5]"), "VARCHAR", ['{"a": 1}', "[1.5]"]),
    (PARQUET, ONE, money("1.2367", 18, 4), "DECIMAL(18,4)", [PRICE, Decimal("1.2367")]),
    (PARQUET, ONE, money("1.5", 18, 4), "DECIMAL(10,2)", [PRICE, Decimal("1.5")]),
    (PARQUET, ONE, money("123456789.5", 12, 1), "DECIMAL(13,2)", [PRICE, Decimal("123456789.5")]),
    (PARQUET, INTEGER, ONE, "DECIMAL(21,2)", [Decimal(7), PRICE]),
    (PARQUET, ONE, parquet(10**12, kind=pa.int64()), "DECIMAL(21,2)", [PRICE, Decimal(10**12)]),
    (PARQUET, INTEGER, parquet(2**64 - 1, kind=pa.uint64()), "DECIMAL(20,0)", [Decimal(7), Decimal(2**64 - 1)]),
    (PARQUET, parquet(1.5, kind=pa.float32()), ONE, "DOUBLE", [1.5, 1.25]),
    (PARQUET, DATE, parquet(HOUR, kind=pa.timestamp("ms")), "TIMESTAMP WITH TIME ZONE", [MOMENT, HOUR]),
    (PARQUET, DATE, parquet(MOMENT, kind=pa.timestamp("ms")), "DATE", [date(2026, 1, 1)] * 2),
]


@pytest.mark.parametrize(("table", "first", "second", "kind", "values"), WIDER)
def test_a_column_gets_a_wider_type_if_no_value_changes(
    shop: Shop, table: LandedTable, first: bytes, second: bytes, kind: str, values: Sequence[Any]
) -> None:
    shop.put("t/1", first)
    shop.load(table)
    shop.put("t/2", second, 1)
    report = shop.load(table)
    assert (report.files, report.rejected) == (1, ())
    assert shop.query("select v from raw.t order by _landed_file") == [(value,) for value in values]
    assert shop.query("select data_type from information_schema.columns where column_name = 'v'")[0] == (kind,)
    before = shop.query("select 1 from raw._dlt_loads")
    assert shop.load(table).remarks == report.remarks  # until the next files
    assert shop.query("select 1 from raw._dlt_loads") == before
    shop.put("t/3", second, 2)
    assert shop.load(table).files == 1


@pytest.mark.parametrize(
    ("table", "first", "second", "reason"),
    [
        (CSV, csv("10"), csv("007"), "column 'v' does not fit its type bigint: the value '007' would change"),
        (CSV, csv("10"), csv("many"), "the value 'many' would change"),
        (CSV, csv("10"), csv("true"), "does not fit its type bigint"),
        (CSV, csv("1.5"), csv("0.12345678901234567890"), "does not fit its type double"),
        (CSV, csv("1.5"), csv("12345678901234567"), "does not fit its type double"),
        (CSV, csv("9007199254740993"), csv("1.5"), "integers that a double does not hold"),
        (CSV, csv("true"), csv("1"), "does not fit its type bool"),
        (CSV, csv("2026-01-01"), csv("January"), "does not fit its type date"),
        (JSONL, jsonl("1"), jsonl("true"), None),
        (JSONL, jsonl("true"), jsonl("2"), "does not fit its type bool"),
        (JSONL, jsonl("1"), jsonl("[1]"), "does not fit its type bigint"),
        (JSONL, jsonl("1.5"), jsonl("9007199254740993"), "does not fit its type double"),
        (PARQUET, money("1.25", 38, 2), money("0.0000000001", 20, 10), "does not fit its type decimal(38,2)"),
        (PARQUET, money("1.25", 10, 2), parquet(1.2367, kind=pa.float64()), "would be rounded"),
        (
            PARQUET,
            parquet(1.5, kind=pa.float64()),
            money("12345678901234567.89", 20, 2),
            "does not fit its type double",
        ),
        (PARQUET, parquet(*[True], kind=pa.bool_()), parquet(2, kind=pa.int64()), "does not fit its type bool"),
        (PARQUET, parquet("a", kind=pa.string()), parquet(b"\xff", kind=pa.binary()), "does not fit its type text"),
    ],
)
def test_a_file_whose_values_would_change_is_rejected(
    shop: Shop, table: LandedTable, first: bytes, second: bytes, reason: str | None
) -> None:
    shop.put("t/1", first)
    shop.load(table)
    shop.put("t/2", second, 1)
    report = shop.load(table)
    if reason is None:
        assert (report.rejected, report.row_count) == ((), 2)
    else:
        assert [reason in str(entry.reason) for entry in report.rejected] == [True], report.rejected
        assert (report.row_count, len(report.malformed)) == (1, 1)


def test_several_files_of_one_load_agree_on_the_type_or_those_that_need_another_are_rejected(shop: Shop) -> None:
    shop.put("t/0", csv("1"))
    shop.load(CSV)
    for number, value in enumerate(["2", "2.5", "3", "many", "9007199254740993"], start=1):
        shop.put(f"t/{number}", csv(value), number)
    report = shop.load(CSV)
    assert [entry.file.path for entry in report.rejected] == ["t/4", "t/5"]  # a double does not hold that of t/5
    assert shop.query("select v from raw.t order by v") == [(1.0,), (2.0,), (2.5,), (3.0,)]


def test_a_file_is_rejected_if_the_type_that_it_needs_changes_a_value_of_an_earlier_file(shop: Shop) -> None:
    shop.put("t/0", csv("1"))
    shop.load(CSV)
    shop.put("t/1", csv("9007199254740993"), 1)
    shop.put("t/2", csv("2.5"), 2)
    assert "another file has values" in str(shop.load(CSV).rejected[0].reason)
    assert shop.query("select v from raw.t order by v") == [(1,), (9007199254740993,)]


def test_a_declared_type_is_not_widened_but_an_inferred_one_is_widened_to_it(shop: Shop) -> None:
    shop.put("t/1", csv("1", "2"))
    shop.load(CSV)
    shop.put("t/2", csv("007", "1.5"), 1)
    report = shop.load(replace(CSV, columns={"v": "double"}))
    assert (report.files, report.rejected) == (1, ())
    assert shop.query("select v from raw.t order by v") == [(1.0,), (1.5,), (2.0,), (7.0,)]
    shop.put("t/3", csv("many"), 2)
    assert len(shop.load(replace(CSV, columns={"v": "double"})).rejected) == 1


def test_times_below_a_microsecond_are_cut_with_a_remark(shop: Shop) -> None:
    shop.put("t/1", parquet(1_001, kind=pa.timestamp("ns")))
    shop.put("t/2", parquet(2_000, kind=pa.timestamp("ns")), 1)
    assert shop.load(PARQUET).remarks == (("t/1", "the times of column 'v' are cut to microseconds"),)
    table = replace(CSV, identifier="c", path="c/*", columns={"v": "timestamp"})
    shop.put("c/1", csv("2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00.1234560"))
    assert shop.load(table).remarks == (("c/1", "the times of column 'v' are cut to microseconds"),)


def test_declared_times_are_read_from_every_format(shop: Shop) -> None:
    table = replace(CSV, columns={"v": "time"})
    shop.put("t/1", csv("10:30", "23:59:59.5", ""))
    assert shop.load(table).rejected == ()
    assert [str(v) for (v,) in shop.query("select v from raw.t order by v")] == ["10:30:00", "23:59:59.500000", "None"]
    shop.put("t/1", jsonl('"10:30:01"'), 1)
    assert shop.load(replace(table, format="jsonl")).rejected == ()


def test_an_empty_line_before_the_header_does_not_change_the_types(shop: Shop) -> None:
    shop.put("t/1", b"\n\r\n\xef\xbb\xbfv\n007\n"[3:])
    shop.put("t/2", b"\xef\xbb\xbf\n\nv\n\n008\n", 1)
    assert shop.load(CSV).rejected == ()
    assert shop.query("select v from raw.t order by v") == [("007",), ("008",)]


# --- columns ----------------------------------------------------------------------------------------------------


def test_a_file_without_a_column_of_the_table_is_loaded_with_a_remark(shop: Shop) -> None:
    shop.put("t/1", b"k,v,w\na,1,2\n")
    shop.put("t/2", b"k,x\nb,1\n", 1)
    report = shop.load(CSV)
    assert report.remarks == (("t/2", "it lacks the columns v, w, null in its rows"),)
    shop.put("t/3", b"k,v,w,x\n", 2)  # without rows
    assert shop.load(CSV).remarks == ()
    documented = replace(JSONL, identifier="j", path="j/*", untyped=("at",))
    shop.put("j/1", b'{"k": 1, "v": 1, "at": 1}\n')
    shop.put("j/2", b'{"k": 1}\n', 1)  # JSON leaves out nulls
    assert shop.load(documented).remarks == (("j/2", "it lacks the column at, null in its rows"),)


def test_a_new_column_of_a_later_file_is_no_remark_on_earlier_files(shop: Shop) -> None:
    shop.put("t/1", b"k\na\n")
    shop.put("t/2", b"k,x\nb,1\n", 1)
    assert shop.load(CSV).remarks == ()


# --- names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("schema", "name"), [("RAW", "t"), ("raw", "T"), ("Raw", "t")])
def test_duckdb_ignores_the_case_of_schema_table_and_columns(shop: Shop, schema: str, name: str) -> None:
    with duckdb.connect(shop.warehouse.path) as connection:
        connection.execute("create schema raw")
    table = replace(CSV, schema=schema, identifier=name)
    shop.put("t/1", csv("1"))
    assert shop.load(table).row_count == 1
    with duckdb.connect(shop.warehouse.path) as connection:
        connection.execute('alter table raw.t rename k to "K"; alter table raw.t rename v to "V"')
    shop.put("t/2", csv("2"), 1)
    assert (shop.load(table).files, shop.load(replace(table, schema="rAW", identifier="t")).files) == (1, 0)
    assert shop.query("select k, v from raw.t order by v") == [("k", 1), ("k", 2)]
    keyed = replace(table, primary_key=("v",))
    shop.put("t/3", csv("2"), 2)
    assert shop.load(keyed).row_count == 2


@pytest.mark.parametrize("name", ["or ders", "Orders", "órders", "o" * 80, "select", "1", "orders__items", "a-b"])
def test_unusual_names_of_tables_work(shop: Shop, name: str) -> None:
    table = replace(CSV, identifier=name, schema="r\"a'w")
    for number in range(2):
        shop.put(f"t/{number}", csv(str(number)), number)
        assert (shop.load(table).row_count, shop.load(table).files) == (number + 1, 0)


# --- renamed and corrected files --------------------------------------------------------------------------------


def test_without_a_key_the_rows_of_a_renamed_file_are_not_duplicated(shop: Shop) -> None:
    one = shop.put("t/1", csv("1", "2"))
    shop.load(CSV)
    one.rename(shop.folder / "landing/t/2")
    os.utime(shop.folder / "landing/t/2")
    report = shop.load(CSV)
    assert (report.files, report.renamed, report.row_count, report.left) == (0, 1, 2, ())
    assert report.remarks == (
        ("t/2", "it has the content of t/1, which is gone: taken for the same file, and not loaded again"),
    )
    assert shop.query("select distinct _landed_file from raw.t") == [("t/2",)]
    assert (shop.load(CSV).files, shop.load(CSV).renamed) == (0, 0)
    shop.put("t/1", csv("3"))  # the old name is used for another file, with the old time
    assert (shop.load(CSV).files, shop.load(CSV).row_count) == (1, 3)


def test_an_old_name_is_new_again_after_its_file_was_renamed(shop: Shop) -> None:
    one = shop.put("t/1", csv("1"))
    shop.load(CSV)
    shop.put("t/1", csv("2"), 1)
    shop.load(CSV)
    one.rename(shop.folder / "landing/t/2")
    assert shop.load(CSV).renamed == 1
    shop.put("t/1", csv("1"))  # the first version again
    assert (shop.load(CSV).files, shop.load(CSV).row_count) == (1, 2)


def test_without_a_key_a_copy_is_loaded_with_a_remark(shop: Shop) -> None:
    shop.put("t/1", csv("1"))
    shop.load(CSV)
    shop.put("t/2", csv("1"), 1)
    report = shop.load(CSV)
    assert (report.files, report.row_count) == (1, 2)
    assert report.remarks == (("t/2", "it has the same content as t/1: the rows of both are in the table"),)


def test_a_file_is_loaded_if_the_rows_of_its_old_name_are_not_all_there(shop: Shop) -> None:
    one = shop.put("t/1", csv("1", "2"))
    shop.load(CSV)
    with duckdb.connect(shop.warehouse.path) as connection:
        connection.execute("delete from raw.t where v = 1")
    one.rename(shop.folder / "landing/t/2")
    assert (shop.load(CSV).files, shop.load(CSV).row_count) == (1, 3)


def test_a_corrected_file_replaces_what_its_earlier_version_said(shop: Shop) -> None:
    shop.put_orders("1.parquet", {"a": (5, 10), "b": (5, 20), "c": (5, 30), "d": (5, 40)})
    shop.put_orders("2.parquet", {"c": (9, 31), "e": (1, 50)}, 1)
    shop.load()
    shop.put_orders("1.parquet", {"a": (3, 11), "c": (6, 32)}, 2)  # a lower cursor, and no b and d
    report = shop.load()
    assert shop.prices == {"a": 11, "c": 31, "e": 50}
    assert (report.removed, report.superseded) == (2, 1)
    assert report.remarks == (
        ("orders/1.parquet", "2 rows of its earlier version no longer in it: deleted from the table"),
    )
    shop.put_orders("1.parquet", {"z": (1, 1)}, 3)
    shop.put_orders("3.parquet", {"a": (1, 12)}, 4)
    shop.load()
    assert shop.prices == {"a": 12, "c": 31, "e": 50, "z": 1}


def test_a_correction_whose_rows_are_all_superseded_deletes_the_others(shop: Shop) -> None:
    shop.put_orders("1.parquet", {"a": (5, 10), "b": (5, 20)})
    shop.put_orders("2.parquet", {"c": (9, 31)}, 1)
    shop.load()
    shop.put_orders("1.parquet", {"c": (1, 1)}, 2)
    assert shop.load().removed == 2
    assert shop.prices == {"c": 31}


def test_many_rows_of_a_composite_key_are_deleted(shop: Shop) -> None:
    table = replace(CSV, primary_key=("k", "v"))
    shop.put("t/1", b"k,v\n" + b"".join(f"k{n},{n}\n".encode() for n in range(2_000)))
    shop.load(table)
    shop.put("t/1", b"k,v\nk7,7\n", 1)
    assert (shop.load(table).removed, shop.load(table).row_count) == (1_999, 1)


def test_with_merge_a_changed_file_only_adds_and_updates(shop: Shop) -> None:
    table = replace(ORDERS, changed_files="merge")
    shop.put_orders("1.parquet", {"a": (5, 10), "b": (5, 20)})
    shop.load(table)
    shop.put_orders("1.parquet", {"a": (3, 11), "c": (6, 30)}, 1)
    assert shop.load(table).removed == 0
    assert shop.prices == {"a": 10, "b": 20, "c": 30}
