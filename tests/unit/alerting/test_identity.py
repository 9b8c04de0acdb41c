"""Which messages are the same error: values are not part of it."""

from __future__ import annotations

import time

import pytest

from analytics_dagster.alerting.identity import error_identity

SAME = [
    (
        "Conversion Error: Could not convert string 'abc' to INT32",
        "Conversion Error: Could not convert string 'x y' to INT32",
    ),
    ("Could not convert string 'O'Brien' to INT32", "Could not convert string '' to INT32"),
    ("Could not convert string 'two\nlines' to INT32", "Could not convert string 'one' to INT32"),
    ("Could not convert string 'it''s' to INT32", "Could not convert string '17' to INT64"),
    ('invalid input syntax for type integer: "abc"', 'invalid input syntax for type integer: "x1"'),
    ('invalid input syntax for type uuid: "0a"', 'invalid input syntax for type uuid: ""'),
    ("Numeric value 'abc' is not recognized", "Numeric value 'a,b' is not recognized"),
    ("Bad int64 value: abc", "Bad int64 value: two words"),
    ("Value abc is out of range", "Value xyz is out of range"),
    ("The value 'a' of the type \"STRING\" cannot be cast", "The value 'b' of the type \"STRING\" cannot be cast"),
    ('Duplicate key "id: 250001" violates primary key', 'Duplicate key "id: 7" violates primary key'),
    ("Key (order_id)=(abc) already exists.", "Key (order_id)=(x, y) already exists."),
    ("duplicate entry for order_id=abc", "duplicate entry for order_id=xyz"),
    ("Job 7c1f0a52-3f0e-4c6f-9d0e-3a5b7d2c9e41 failed", "Job 0b9c6e6e-1f3c-4a0e-8b51-9f53f6a3f5cd failed"),
    ("commit 9e7d7f9c1a2b not found", "commit a1b2c3d4e5f6 not found"),
    ("Query 01b2f3-0504 timed out after 300.5 s", "Query 99aa88-1200 timed out after 301 s"),
    ("No partition for 2026-06-01T06:00:00+00:00", "No partition for 2026-06-02 07:00:00"),
    ("IO Error: cannot open /data/a/b.parquet", "IO Error: cannot open /other/c.parquet"),
    ("cannot open file:///data/a b.csv: no such file", "cannot open file:///data/x y.csv: no such file"),
    ("cannot read orders.csv", "cannot read returns.parquet"),
    ("cannot open C:\\data\\orders.csv", "cannot open D:\\x.csv"),
    ("compiled at target/runs/7c1f-dbt_nightly/run/x.sql", "compiled at target/runs/99-dbt_hourly/run/x.sql"),
    ("user ann@example.com has no mailbox", "user bob@example.org has no mailbox"),
    ("segmentation fault at 0x7ffe12ab", "segmentation fault at 0x55d0"),
    ("disk has 1,024 of 2,048 bytes", "disk has 7 of 9 bytes"),
    ("column `a b` of `p.d.t` has `x`", "column `c` of `p.d.u` has `y z`"),
    ("could not parse \u201cabc\u201d", "could not parse \u201cdef ghi\u201d"),
    ("KeyError: 'order'", "KeyError: 'customer'"),
    ("Could not convert string 'never ends to INT32", "Could not convert string 'also never ends"),
    ("invalid date: abc", "invalid date: xyz"),
]
OTHER = [
    ("Binder Error: column not found", "Parser Error: syntax error at end of input"),
    ("could not convert string 'a' to DATE", "could not find table 'a'"),
    ("server closed the connection unexpectedly", "connection refused"),
    ("can't parse the customers' file", "can't find the customers' file"),
    ("", "unknown error"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_values_are_not_part_of_an_error(one: str, other: str) -> None:
    assert error_identity(one) == error_identity(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_other_words_are_another_error(one: str, other: str) -> None:
    assert error_identity(one) != error_identity(other)


@pytest.mark.parametrize("text", ["a", "a-", "/", "a/", "1.", " ", "0x", "'", "(", "a=", "- 1", ": "])
def test_the_time_of_an_identity_is_linear_in_the_length(text: str) -> None:
    started = time.process_time()
    error_identity(text * 300_000)
    assert time.process_time() - started < 2


def test_numbers_and_paths_do_not_change_the_identity() -> None:
    one = "Runtime Error in model a (a.sql)\n  IO Error: lock on /w/a.duckdb is held by PID 17 since 10:42:01"
    other = "Runtime Error in model b (b.sql)\n  IO Error: lock on /w/b.duckdb is held by PID 4711 since 11:00:59"
    assert error_identity(one) == error_identity(other)
    assert error_identity(one) != error_identity("Database Error in model a (a.sql)\n  Binder Error: no such column")
