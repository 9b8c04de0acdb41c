"""Parses a landed file into an Arrow table of plain types, or raises the reason why it is malformed."""

from __future__ import annotations

import csv
import io
import json
import math
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from analytics_dagster.ingestion.conversion import TIMESTAMP, loses_nanoseconds
from analytics_dagster.ingestion.tables import Format, column_name
from analytics_dagster.text import printable

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_COMPRESSION = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
_MANY_DIGITS = re.compile(r"\d[\d.]{17,}")
"""Numbers in JSON of which a double may not keep all digits."""
_DOUBLE_DIGITS = 17
_MAX_REASON = 500  # characters


class MalformedFileError(Exception):
    """A landed file can't be read or does not fit its table; the message is the reason, for users."""

    def __init__(self, reason: str) -> None:
        shown = printable(reason)
        super().__init__(shown if len(shown) <= _MAX_REASON else f"{shown[:_MAX_REASON]}…")


@dataclass(frozen=True)
class Parsed:
    """The content of a file, with the column names of the warehouse.

    Types are text, int64, float64, bool, timestamp (us, UTC), date, time (us), decimal and binary; a column without any
    value is null. ``nested`` names the text columns with JSON, ``cut`` those whose nanoseconds were cut.
    """

    table: pa.Table
    nested: frozenset[str] = frozenset()
    cut: frozenset[str] = frozenset()
    has_json_values: bool = False


def parse(content: bytes, file_format: Format, path: str) -> Parsed:
    """Return the content of a file, decompressed by its suffix (`.gz`, `.zst`, `.bz2`).

    CSV columns are text, with empty values as null. Raises `MalformedFileError`, whatever is wrong with the content.
    """
    with malformed_on_error(file_format):
        return _renamed(_PARSERS[file_format](_decompressed(content, path)))


@contextmanager
def malformed_on_error(file_format: Format) -> Iterator[None]:
    """Raise whatever goes wrong with the content of a file as `MalformedFileError`."""
    try:
        yield
    except MalformedFileError:
        raise
    except UnicodeDecodeError as error:
        raise MalformedFileError(f"it is not UTF-8 text: byte {error.start} can't be decoded") from None
    except UnicodeEncodeError:
        raise MalformedFileError("it has half of a surrogate pair, which is no text") from None
    except RecursionError:
        raise MalformedFileError("its values are nested too deeply") from None
    except Exception as error:  # noqa: BLE001 - parsers raise errors of any type for unforeseen content
        raise MalformedFileError(f"it can't be read as {file_format}: {str(error) or type(error).__name__}") from None


def _renamed(parsed: Parsed) -> Parsed:
    names = [column_name(name) for name in parsed.table.column_names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise MalformedFileError(f"it has several columns of the same name: {', '.join(twice)}")
    nested, cut = (frozenset(map(column_name, one)) for one in (parsed.nested, parsed.cut))
    return replace(parsed, table=parsed.table.rename_columns(names), nested=nested, cut=cut)


def _decompressed(content: bytes, path: str) -> bytes:
    with pa.input_stream(pa.BufferReader(content), compression=_COMPRESSION.get(posixpath.splitext(path)[1])) as stream:
        return bytes(stream.read())


def _parse_csv(content: bytes) -> Parsed:
    content = (
        content.lstrip(b"\r\n").removeprefix(_BYTE_ORDER_MARK).lstrip(b"\r\n")
    )  # Arrow skips empty lines before the header
    content.decode("utf-8")
    if not content.strip():
        raise MalformedFileError("it is empty, without a header")
    if content.count(b'"') % 2:
        _check_quotes(content)
    header = next(csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="")))
    table = pacsv.read_csv(
        io.BytesIO(content),
        # One block, since a quoted line break must not be between two blocks.
        read_options=pacsv.ReadOptions(block_size=len(content) + 1, use_threads=False),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    if table.column_names != header:
        raise MalformedFileError(f"its header can't be read: {', '.join(header)}")
    return Parsed(table)


def _check_quotes(content: bytes) -> None:
    """Raise `MalformedFileError` if a quoted value has no end: Arrow takes the rest of the file for the value."""
    try:
        for _ in csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline=""), strict=True):
            pass
    except csv.Error as error:
        raise MalformedFileError(f"it has a quote without its counterpart: {error}") from None


def _parse_jsonl(content: bytes) -> Parsed:
    lines = content.removeprefix(_BYTE_ORDER_MARK).decode("utf-8").split("\n")
    rows = [_json_object(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    nested = frozenset(name for name, values in columns.items() if any(isinstance(v, dict | list) for v in values))
    table = pa.table({name: _json_array(values) for name, values in columns.items()})
    return Parsed(table, nested, has_json_values=True)


def _json_object(number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line, object_pairs_hook=_unique)
        if isinstance(row, dict) and _MANY_DIGITS.search(line):
            exact = json.loads(line, parse_float=Decimal)
            row = {name: value if isinstance(value, dict | list) else exact[name] for name, value in row.items()}
    except ValueError as error:
        raise MalformedFileError(f"line {number} is not JSON: {error}") from None
    if not isinstance(row, dict):
        raise MalformedFileError(f"line {number} is JSON, but not an object")
    if "Infinity" not in line and any(isinstance(value, float) and math.isinf(value) for value in row.values()):
        raise MalformedFileError(f"line {number} has a number that is too large")
    return row


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found


def _json_array(values: Sequence[Any]) -> pa.Array:
    """Return JSON values as a column of their common type, or as JSON text if they have several."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float, Decimal} and kinds:
        return _json_numbers(values, kinds)
    if len(kinds) <= 1 and not kinds & {dict, list}:
        return pa.array(values)
    # A word among objects is JSON, too; among other plain values it is what it is.
    is_json = bool(kinds & {dict, list})
    texts = (None if v is None else v if isinstance(v, str) and not is_json else _json_text(v) for v in values)
    return pa.array(list(texts), pa.string())


def _json_numbers(values: Sequence[Any], kinds: set[type]) -> pa.Array:
    """Return numbers as integers or doubles, as decimals if these would lose digits, or else as text."""
    long = any(isinstance(v, Decimal) and len(v.normalize().as_tuple().digits) > _DOUBLE_DIGITS for v in values)
    try:
        if not long:
            return pa.array(values if kinds == {int} else [_double(value) for value in values])
    except (OverflowError, pa.ArrowInvalid):  # integers with more than 64 bits, or more than a double has
        pass
    decimals = [None if value is None else Decimal(str(value)) for value in values]
    try:
        exact = pa.array(decimals)
    except pa.ArrowInvalid:  # NaN
        exact = None
    if exact is None or exact.type.precision > pa.decimal128(38).precision:
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    return exact


def _double(value: Any) -> float | None:
    found = None if value is None else float(value)
    if isinstance(value, int) and found != value:
        raise OverflowError
    return found


def _parse_parquet(content: bytes) -> Parsed:
    table = pq.read_table(io.BytesIO(content), use_threads=False)
    nested = frozenset(field.name for field in table.schema if pa.types.is_nested(field.type))
    cut = frozenset(
        field.name
        for field, column in zip(table.schema, table.columns, strict=True)
        if pa.types.is_timestamp(field.type) and loses_nanoseconds(column)
    )
    columns = [_plain(name, column) for name, column in zip(table.column_names, table.columns, strict=True)]
    return Parsed(pa.table(columns, table.column_names), nested, cut)


def _plain(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column converted to a plain type; timestamps without a zone are taken for UTC."""
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.cast(column.type.storage_type)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    found = column.type
    if pa.types.is_nested(found):
        texts = [None if value is None else _json_text(value) for value in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    if pa.types.is_timestamp(found):
        column = column.cast(pa.timestamp("us", tz=found.tz), safe=False)  # cuts nanoseconds
        return column.cast(TIMESTAMP) if found.tz else pc.assume_timezone(column, "UTC")
    if found == pa.uint64() and pc.greater(pc.max(column), pa.scalar(2**63 - 1, pa.uint64())).as_py():
        return column.cast(pa.decimal128(20, 0))
    for is_of, plain in _PLAIN:
        if is_of(found):
            return column.cast(plain)
    if pa.types.is_decimal(found):
        return column.cast(pa.decimal128(min(found.precision, 38), found.scale))
    raise MalformedFileError(f"column {name!r} has the type {found}, which the warehouse does not have")


def _json_text(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False, allow_nan=False)


_PARSERS: Mapping[Format, Callable[[bytes], Parsed]] = {
    "csv": _parse_csv,
    "jsonl": _parse_jsonl,
    "parquet": _parse_parquet,
}

_PLAIN: Sequence[tuple[Callable[[pa.DataType], bool], pa.DataType]] = (
    (pa.types.is_null, pa.null()),
    (pa.types.is_boolean, pa.bool_()),
    (pa.types.is_integer, pa.int64()),
    (pa.types.is_floating, pa.float64()),
    (pa.types.is_date, pa.date32()),
    (pa.types.is_time, pa.time64("us")),
    (lambda found: found in (pa.string(), pa.large_string(), pa.string_view()), pa.string()),
    (lambda found: found in (pa.binary(), pa.large_binary(), pa.binary_view()), pa.binary()),
    (pa.types.is_fixed_size_binary, pa.binary()),
)
