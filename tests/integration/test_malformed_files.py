"""Whatever is wrong with one file, it is rejected with the reason, and the other files of its table are loaded."""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analytics_dagster.ingestion.tables import Format, LandedTable
from tests.integration.landing import Shop

pytestmark = pytest.mark.integration

TYPES = {"day": "date", "at": "timestamp", "price": "decimal", "flag": "bool", "extra": "json", "clock": "time"}
TABLE = LandedTable(
    "source.p.shop.things",
    "shop",
    "things",
    "raw",
    "things",
    "things/*",
    "csv",
    ("id",),
    "at",
    {"id": "bigint", **TYPES},
)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    (tmp_path / "landing").mkdir()
    return Shop(tmp_path)


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": pa.array([1], pa.int64()), **columns}), sink)
    return sink.getvalue()


def csv(rest: bytes, header: bytes = b"id") -> bytes:
    return header + b"\n" + rest + b"\n"


def of(value: Any, kind: pa.DataType) -> pa.Array:
    return pa.array([value], kind)


CSV: Mapping[str, tuple[bytes, str]] = {
    "empty": (b"", "without a header"),
    "blank lines": (b"\n\r\n\n", "without a header"),
    "a long header field": (b"id," + b"x" * 131_073 + b"\n1,2\n", "field larger than field limit"),
    "not UTF-8": (csv(b"\xff"), "can't be decoded"),
    "UTF-16": ("id\n1\n".encode("utf-16"), "can't be decoded"),
    "a short row": (csv(b"1,2\n3", b"id,b"), "Expected 2 columns, got 1"),
    "a long row": (csv(b"1,2,3", b"id,b"), "Expected 2 columns, got 3"),
    "an open quote": (csv(b'1,"2', b"id,b"), "a quote without its counterpart"),
    "names that differ in case": (csv(b"1,2", b"id,ID"), "several columns of the same name"),
    "without the key": (csv(b"1", b"other"), "lacks the key column id"),
    "an empty key": (csv(b",1", b"id,b"), "is empty in 1 rows"),
    "an inner column": (csv(b"1,2", b"id,_dlt_load_id"), "is reserved"),
    "another inner column": (csv(b"1,2", b"id,_DLT_ID"), "is reserved"),
    "the column of files": (csv(b"1,2", b"id,_landed_file"), "is reserved"),
    "not gzip": (b"id\n1\n", "can't be read as csv"),
    "half of a gzip": (gzip.compress(csv(b"1\n" * 1000))[:-15], "can't be read as csv"),
    "a big key": (csv(b"99999999999999999999"), "does not fit its type bigint"),
    "a time": (csv(b"1,25:00", b"id,clock"), "does not fit its type time"),
    "a month": (csv(b"1,2026-13-01", b"id,day"), "does not fit its type date"),
    "the year 0": (csv(b"1,0000-01-01", b"id,day"), "years 1 to 9999"),
    "a moment": (csv(b"1,soon", b"id,at"), "does not fit its type timestamp"),
    "an exact price": (csv(b"1,0.0000000001", b"id,price"), "does not fit its type decimal"),
    "a high price": (csv(b"1," + b"9" * 30, b"id,price"), "does not fit its type decimal"),
    "broken JSON": (csv(b"1,{", b"id,extra"), "does not fit its type json"),
    "no JSON constant": (csv(b'1,"[NaN]"', b"id,extra"), "does not fit its type json"),
    "deep JSON": (csv(b"1," + b"[" * 5000 + b"]" * 5000, b"id,extra"), "nested too deeply"),
}

JSONL: Mapping[str, tuple[bytes, str]] = {
    "empty": (b"", "lacks the key column"),
    "half a line": (b'{"id": 1, "a":', "line 1 is not JSON"),
    "a list": (b"[1]", "not an object"),
    "a word": (b'"id"', "not an object"),
    "a surrogate": (b'{"id": 1, "a": "\\ud800"}', "surrogate"),
    "a surrogate as a name": (b'{"id": 1, "\\udfff": 1}', "surrogate"),
    "a surrogate in a list": (b'{"id": 1, "a": ["\\ud800"]}', "surrogate"),
    "a surrogate as a nested name": (b'{"id": 1, "a": {"\\ud800": 1}}', "surrogate"),
    "nested lists": (b'{"id": 1, "a": ' + b"[" * 5000 + b"]" * 5000 + b"}", "nested too deeply"),
    "nested objects": (b'{"id": 1, "a": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}", "nested too deeply"),
    "a name twice": (b'{"id": 1, "a": 1, "a": 2}', "the name 'a' is there twice"),
    "a nested name twice": (b'{"id": 1, "a": {"b": 1, "b": 2}}', "the name 'b' is there twice"),
    "an infinite number": (b'{"id": 1, "a": 1e400}', "too large"),
    "an infinite nested number": (b'{"id": 1, "a": [1e400]}', "not JSON compliant"),
    "a long integer": (b'{"id": 1, "a": ' + b"9" * 5000 + b"}", ""),
    "a nested constant": (b'{"id": 1, "a": [NaN]}', "not JSON compliant"),
    "an inner column": (b'{"id": 1, "_dlt_id": 1}', "is reserved"),
    "not UTF-8": (b'{"id": 1, "a": "\xff"}', "can't be decoded"),
    "a null key": (b'{"id": null, "a": 1}', "is empty in 1 rows"),
    "a key with a fraction": (b'{"id": 1.5}', "does not fit its type bigint"),
    "a word as a key": (b'{"id": "x"}', "does not fit its type bigint"),
    "a price as a list": (b'{"id": 1, "price": [1]}', "does not fit its type decimal"),
    "an exact price": (b'{"id": 1, "price": 12345678901234567.0123456789}', "does not fit its type decimal"),
    "a number as a flag": (b'{"id": 1, "flag": 2}', "does not fit its type bool"),
    "a moment": (b'{"id": 1, "at": "soon"}', "does not fit its type timestamp"),
    "a number as a moment": (b'{"id": 1, "at": 5}', "does not fit its type timestamp"),
}

PARQUET: Mapping[str, tuple[bytes, str]] = {
    "empty": (b"", "can't be read as parquet"),
    "half": (parquet()[:-20], "can't be read as parquet"),
    "a changed byte": (parquet()[:8] + b"\xff" * 20 + parquet()[28:], ""),
    "text": (b"id\n1\n", "can't be read as parquet"),
    "a duration": (parquet(a=of(1, pa.duration("s"))), "duration"),
    "a decimal256": (parquet(a=of(Decimal("1" * 45), pa.decimal256(50, 2))), "does not fit in precision 38"),
    "a nested infinity": (parquet(a=pa.array([[float("inf")]])), "not JSON compliant"),
    "a far year": (parquet(at=of(9_000_000_000_000_000_000, pa.timestamp("us", tz="UTC"))), "years 1 to 9999"),
    "a far year in milliseconds": (parquet(at=of(9_000_000_000_000_000_000, pa.timestamp("ms"))), ""),
    "a far undeclared year": (parquet(new=of(9_000_000_000_000_000_000, pa.timestamp("us"))), "years 1 to 9999"),
    "a far nested year": (parquet(a=pa.array([[9_000_000_000_000_000_000]], pa.list_(pa.timestamp("us")))), ""),
    "a far date": (parquet(day=of(10_000_000, pa.date32())), "years 1 to 9999"),
    "a far undeclared date": (parquet(new_day=of(-10_000_000, pa.date32())), "years 1 to 9999"),
    "a long column name twice": (parquet(A=of(1, pa.int64()), a=of(1, pa.int64())), "several columns of the same name"),
    "an inner column": (parquet(_dlt_load_id=of("1", pa.string())), "is reserved"),
    "a big price": (parquet(price=of(Decimal(10) ** 35, pa.decimal128(38, 2))), "does not fit its type decimal"),
    "an exact price": (parquet(price=of(Decimal("0.00000000001"), pa.decimal128(20, 12))), "does not fit its type"),
    "a price as text": (parquet(price=of("cheap", pa.string())), "does not fit its type decimal"),
    "a rounded price": (parquet(price=of(1e-12, pa.float64())), "would be rounded"),
    "a date with a time": (parquet(day=of(datetime(2026, 1, 1, 5), pa.timestamp("us"))), "would change"),  # noqa: DTZ001
    "bytes as a flag": (parquet(flag=of(b"1", pa.binary())), "can't be converted"),
    "bytes as text in JSON": (parquet(extra=of(b"1", pa.binary())), "can't be converted"),
    "no JSON": (parquet(extra=of("{", pa.string())), "does not fit its type json"),
}

GOOD: Mapping[str, tuple[bytes, bytes]] = {
    "csv": (b"id,price\n1,1.5\n", b"id,price\n2,2.5\n"),
    "jsonl": (b'{"id": 1, "price": 1.5}\n', b'{"id": 2, "price": 2.5}\n'),
    "parquet": (parquet(price=of(1.5, pa.float64())), parquet(id=of(2, pa.int64()), price=of(2.5, pa.float64()))),
}


@pytest.mark.parametrize(
    ("file_format", "bad"), [("csv", CSV), ("jsonl", JSONL), ("parquet", PARQUET)], ids=["csv", "jsonl", "parquet"]
)
def test_each_malformed_file_is_rejected_with_its_reason_and_the_others_are_loaded(
    shop: Shop, file_format: Format, bad: Mapping[str, tuple[bytes, str]]
) -> None:
    first, second = GOOD[file_format]
    shop.put("things/first", first)
    for number, (name, (content, _)) in enumerate(bad.items(), start=1):
        shop.put(f"things/{name}{'.gz' if 'gzip' in name else ''}", content, number)
    shop.put("things/last", second, 100)
    report = shop.load(replace(TABLE, format=file_format))
    assert shop.query("select id, price from raw.things order by id") == [(1, Decimal("1.5")), (2, Decimal("2.5"))]
    assert report.files == 2
    reasons = {entry.file.path.removeprefix("things/").removesuffix(".gz"): entry.reason for entry in report.rejected}
    assert set(reasons) == set(bad)
    assert [f"{name}: {reasons[name]}" for name, (_, reason) in bad.items() if reason not in str(reasons[name])] == []
    assert all(reasons.values())
    assert not list((shop.folder / "landing/things").glob("[!fl]*"))
    assert len(report.malformed) == len(bad)
    again = shop.load(replace(TABLE, format=file_format))
    assert (again.files, again.rejected, again.malformed) == (0, (), report.malformed)
