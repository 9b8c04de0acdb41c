"""Converts columns of files to the types of a table. A conversion that changes a value is an error."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from analytics_dagster.ingestion.column_types import MAX_DIGITS, ColumnType, DataType

TIMESTAMP = pa.timestamp("us", tz="UTC")

SHAPES: Mapping[DataType, str] = {
    "bigint": r"^-?(0|[1-9]\d*)$",
    "double": r"^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$",
    "decimal": r"^-?(0|[1-9]\d*)(\.\d+)?$",
    "bool": r"^(?i:true|false)$",
    "date": r"^\d{4}-\d{2}-\d{2}$",
    "timestamp": r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}.*$",
}
"""The pattern of each type that undeclared text may have: "007" is a code, "nan" is a word, "1" is no time."""

_HAS_ZONE = r":\d{2}(\.\d+)?(Z|[+-]\d{2}(:?\d{2})?)$"
_NOISE = 1e-15
"""The relative error up to which a double counts as the decimal that was meant: 0.1 + 0.2 is 0.30000000000000004."""

_YEARS = (-62_135_596_800_000_000, 253_402_300_800_000_000)
"""The microseconds since 1970 of the years 1 to 9999, which Python and every warehouse have."""
_DAYS = tuple(moment // 86_400_000_000 for moment in _YEARS)


class ConversionError(Exception):
    """The values of a column do not fit a type; the message says why."""


def convert(column: pa.ChunkedArray, target: ColumnType, *, is_declared: bool = True) -> pa.ChunkedArray:
    """Return a column with the values of a type. Text is read as values; fractions of microseconds are cut.

    Unless the type is declared, text must have the pattern of the type. Raises `ConversionError`.
    """
    try:
        converted = _of_text(column, target, is_declared) if column.type == pa.string() else _of_values(column, target)
    except (pa.ArrowException, ValueError) as error:
        raise ConversionError(str(error)) from None
    _check_years(converted)
    return converted


def loses_nanoseconds(column: pa.ChunkedArray) -> bool:
    """Return whether timestamps, or text with timestamps, have digits below a microsecond."""
    if pa.types.is_timestamp(column.type):
        cut = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False).cast(column.type)
        return bool(pc.any(pc.not_equal(cut, column)).as_py())
    return bool(pc.any(pc.match_substring_regex(column, r":\d{2}\.\d{6}0*[1-9]")).as_py())


def without_empty(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text with null instead of empty text."""
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _check_years(column: pa.ChunkedArray) -> None:
    is_date = pa.types.is_date(column.type)
    if is_date or pa.types.is_timestamp(column.type):
        lowest, highest = _DAYS if is_date else _YEARS
        bounds = pc.min_max(column.cast(pa.int32() if is_date else pa.int64())).as_py()
        if bounds["min"] is not None and not lowest <= bounds["min"] <= bounds["max"] < highest:
            raise ConversionError("it has a value outside of the years 1 to 9999")


def _of_text(column: pa.ChunkedArray, target: ColumnType, is_declared: bool) -> pa.ChunkedArray:  # noqa: FBT001 - private
    name = target.name
    if name in ("text", "binary"):
        return column.cast(target.arrow)
    text = without_empty(pc.utf8_trim_whitespace(column))
    if name == "json":
        for value in pc.unique(text).to_pylist():
            if value is not None:
                json.loads(value, parse_constant=_no_constant)
        return text
    if not is_declared and name in SHAPES:
        _check_shape(without_empty(column), name)  # untrimmed: a value with a space around it is text
    if name == "timestamp":
        return _timestamps(text)
    if name == "time":
        return _joined("1970-01-01T", text, "").cast(pa.timestamp("us")).cast(target.arrow)
    return text.cast(target.arrow)


def _check_shape(text: pa.ChunkedArray, name: DataType) -> None:
    shape = SHAPES["date"] + "|" + SHAPES["timestamp"] if name == "timestamp" else SHAPES[name]
    wrong = _first(text, pc.invert(pc.match_substring_regex(text, shape)))
    if wrong is None and name == "double":
        wrong = _first(text, _is_too_long(text))
    if wrong is not None:
        raise ConversionError(f"the value {wrong!r} would change")


def _is_too_long(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return which texts have more digits than a double keeps: 15 of an integer, 17 of a fraction."""
    digits = pc.replace_substring_regex(text, r"(\.\d*?)0*($|[eE].*$)", r"\1")
    digits = pc.replace_substring_regex(digits, r"^-?[0.]*|\.", "")
    return pc.or_(pc.match_substring_regex(text, r"^-?\d{16,}$"), pc.greater(pc.utf8_length(digits), 17))


def _of_values(column: pa.ChunkedArray, target: ColumnType) -> pa.ChunkedArray:
    found, wanted = column.type, target.arrow
    if found == wanted or pa.types.is_null(found):
        return column.cast(wanted)
    if target.name == "text":
        return column.cast(wanted)
    if target.name == "json":
        is_plain = pa.types.is_integer(found) or pa.types.is_decimal(found) or pa.types.is_boolean(found)
        if is_plain or (pa.types.is_floating(found) and pc.all(pc.is_finite(column), min_count=0).as_py()):
            return column.cast(wanted)
        return _joined('"', column.cast(wanted), '"') if pa.types.is_temporal(found) else _refuse(found, target)
    for (is_of, name), conversion in _CONVERSIONS.items():
        if is_of(found) and name == target.name:
            return conversion(column, wanted)
    return _refuse(found, target)


def _refuse(found: pa.DataType, target: ColumnType) -> pa.ChunkedArray:
    raise ConversionError(f"it has values of the type {found}, which can't be converted to {target} without loss")


def _same(column: pa.ChunkedArray, converted: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the converted column if it converts back to the same values."""
    wrong = _first(column, pc.not_equal(converted.cast(column.type, safe=False), column))
    if wrong is not None:
        raise ConversionError(f"the value {wrong} would change")
    return converted


def _first(column: pa.ChunkedArray, condition: pa.ChunkedArray) -> Any:
    found = column.filter(condition)
    return found[0].as_py() if len(found) else None


def _decimal_of_integer(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    # Arrow refuses by the type alone, whatever the values are, unless there is room for every integer.
    return column.cast(pa.decimal256(2 * MAX_DIGITS, wanted.scale)).cast(wanted)


def _decimal_of_double(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    converted = column.cast(wanted)
    error = pc.abs(pc.subtract(converted.cast(pa.float64()), column))
    wrong = _first(column, pc.greater(error, pc.multiply(pc.abs(column), _NOISE)))
    if wrong is not None:
        raise ConversionError(f"the value {wrong!r} would be rounded")
    return converted


def _bool_of_integer(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    return _same(column, column.cast(wanted))


_CONVERSIONS: Mapping[
    tuple[Callable[[pa.DataType], bool], DataType], Callable[[pa.ChunkedArray, pa.DataType], pa.ChunkedArray]
] = {
    (pa.types.is_integer, "double"): lambda column, wanted: column.cast(wanted),
    (pa.types.is_integer, "decimal"): _decimal_of_integer,
    (pa.types.is_integer, "bool"): _bool_of_integer,
    (pa.types.is_boolean, "bigint"): lambda column, wanted: column.cast(wanted),
    (pa.types.is_floating, "bigint"): lambda column, wanted: column.cast(wanted),
    (pa.types.is_floating, "decimal"): _decimal_of_double,
    (pa.types.is_decimal, "bigint"): lambda column, wanted: column.cast(wanted),
    (pa.types.is_decimal, "double"): lambda column, wanted: _same(column, column.cast(wanted)),
    (pa.types.is_decimal, "decimal"): lambda column, wanted: column.cast(wanted),
    (pa.types.is_date, "timestamp"): lambda column, wanted: column.cast(wanted),
    (pa.types.is_timestamp, "date"): lambda column, wanted: _same(column, column.cast(wanted)),
}


def _timestamps(text: pa.ChunkedArray) -> pa.ChunkedArray:
    text = _joined("", text, pc.if_else(pc.match_substring_regex(text, SHAPES["date"]), "T00:00:00", ""))
    text = _joined("", text, pc.if_else(pc.match_substring_regex(text, _HAS_ZONE), "", "Z"))
    try:
        return text.cast(TIMESTAMP)
    except pa.ArrowInvalid:  # more digits than microseconds: truncate them
        text = pc.replace_substring_regex(text, r"(:\d{2}\.\d{6})\d+", r"\1")
        return text.cast(TIMESTAMP)


def _joined(*parts: Any) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(*parts, "")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
