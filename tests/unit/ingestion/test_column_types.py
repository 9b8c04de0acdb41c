"""The types that declarations and SQL name, and the type that holds the values of two."""

from __future__ import annotations

import pytest

from analytics_dagster.ingestion.column_types import ColumnType, declared_type, sql_type, widened


def decimal(precision: int, scale: int) -> ColumnType:
    return ColumnType("decimal", precision, scale)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("TIMESTAMP WITH TIME ZONE", ColumnType("timestamp")),
        ("VARCHAR(36)", ColumnType("text")),
        ("decimal(18, 2)", decimal(18, 2)),
        ("NUMERIC(5)", decimal(5, 0)),
        ("numeric(39,2)", None),
        ("decimal", decimal(38, 9)),
        ("point", None),
    ],
)
def test_usual_sql_types_are_known(sql: str, expected: ColumnType | None) -> None:
    assert sql_type(sql) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("decimal", decimal(38, 9)), ("numeric(10,2)", decimal(38, 9)), ("decimal(20,12)", decimal(38, 12))],
)
def test_a_declared_decimal_has_all_digits(text: str, expected: ColumnType) -> None:
    assert declared_type(text) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (ColumnType("bigint"), ColumnType("bigint"), ColumnType("bigint")),
        (ColumnType("bigint"), ColumnType("double"), ColumnType("double")),
        (ColumnType("date"), ColumnType("timestamp"), ColumnType("timestamp")),
        (decimal(10, 2), decimal(18, 4), decimal(18, 4)),
        (decimal(18, 4), decimal(20, 2), decimal(22, 4)),
        (decimal(10, 2), ColumnType("bigint"), decimal(21, 2)),
        (decimal(38, 2), decimal(10, 4), None),
        (ColumnType("double"), decimal(10, 2), None),
        (ColumnType("bigint"), ColumnType("text"), None),
        (ColumnType("bool"), ColumnType("bigint"), None),
        (ColumnType("time"), ColumnType("timestamp"), None),
    ],
)
def test_the_wider_type_has_all_values_of_both(one: ColumnType, other: ColumnType, expected: ColumnType | None) -> None:
    assert widened(one, other) == widened(other, one) == expected
