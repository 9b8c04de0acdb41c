"""Parses a landed file into an Arrow table of plain types, or raises the reason why it is malformed."""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from analytics_dagster.ingestion.tables import Format, column_name

TIMESTAMP = pa.timestamp("us", tz="UTC")
DECIMAL = pa.decimal128(38, 9)

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_COMPRESSION = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}


class MalformedFileError(Exception):
    """A landed file can't be read or does not fit its table; the message is the reason, for users."""


@dataclass(frozen=True)
class Parsed:
    """The content of a file, with the column names of the warehouse.

    Types are text, int64, float64, bool, timestamp (us, UTC), date, time (us), decimal and binary; a column without any
    value is null. ``nested`` names the text columns with JSON.
    """

    table: pa.Table
    nested: frozenset[str] = frozenset()


def parse(content: bytes, file_format: Format, path: str) -> Parsed:
    """Return the content of a file, decompressed by its suffix (`.gz`, `.zst`, `.bz2`).

    CSV columns are text, with empty values as null. Raises `MalformedFileError`.
    """
    try:
        content = _decompressed(content, path)
        parsed = _PARSERS[file_format](content)
    except UnicodeDecodeError as error:
        raise MalformedFileError(f"it is not UTF-8 text: byte {error.start} can't be decoded") from None
    except (pa.ArrowException, OSError, EOFError) as error:
        raise MalformedFileError(f"it can't be read as {file_format}: {error}") from None
    names = [column_name(name) for name in parsed.table.column_names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise MalformedFileError(f"it has several columns of the same name: {', '.join(twice)}")
    return Parsed(parsed.table.rename_columns(names), frozenset(column_name(name) for name in parsed.nested))


def _decompressed(content: bytes, path: str) -> bytes:
    with pa.input_stream(pa.BufferReader(content), compression=_COMPRESSION.get(posixpath.splitext(path)[1])) as stream:
        return bytes(stream.read())


def _parse_csv(content: bytes) -> Parsed:
    content = content.removeprefix(_BYTE_ORDER_MARK)
    content.decode("utf-8")
    if not content.strip():
        raise MalformedFileError("it is empty, without a header")
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
    return Parsed(table)


def _parse_jsonl(content: bytes) -> Parsed:
    lines = content.removeprefix(_BYTE_ORDER_MARK).decode("utf-8").split("\n")
    rows = [_json_object(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    nested = frozenset(name for name, values in columns.items() if any(isinstance(v, dict | list) for v in values))
    return Parsed(pa.table({name: _json_array(values) for name, values in columns.items()}), nested)


def _json_object(number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise MalformedFileError(f"line {number} is not JSON: {error}") from None
    if not isinstance(row, dict):
        raise MalformedFileError(f"line {number} is JSON, but not an object")
    return row


def _json_array(values: Sequence[Any]) -> pa.Array:
    """Return JSON values as a column of their common type, or as JSON text if they have several."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and kinds:
        try:
            return pa.array(values, pa.float64() if float in kinds else pa.int64())
        except (OverflowError, pa.ArrowInvalid):  # more than 64 bits
            return pa.array([None if value is None else str(value) for value in values], pa.string())
    if len(kinds) <= 1 and not kinds & {dict, list}:
        return pa.array(values)
    texts = (None if v is None else v if isinstance(v, str) and str in kinds else _json_text(v) for v in values)
    return pa.array(list(texts), pa.string())


def _parse_parquet(content: bytes) -> Parsed:
    table = pq.read_table(io.BytesIO(content), use_threads=False)
    nested = frozenset(field.name for field in table.schema if pa.types.is_nested(field.type))
    columns = [_plain(name, column) for name, column in zip(table.column_names, table.columns, strict=True)]
    return Parsed(pa.table(columns, table.column_names), nested)


def _plain(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column converted to a plain type; timestamps without a zone are taken for UTC."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    found = column.type
    if pa.types.is_nested(found):
        texts = [None if value is None else _json_text(value) for value in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    if pa.types.is_timestamp(found):
        column = column.cast(pa.timestamp("us", tz=found.tz), safe=False)  # truncates nanoseconds
        return column.cast(TIMESTAMP) if found.tz else pc.assume_timezone(column, "UTC")
    for is_of, plain in _PLAIN:
        if is_of(found):
            return column.cast(plain)
    if pa.types.is_decimal(found):
        return column.cast(pa.decimal128(found.precision, found.scale))
    raise MalformedFileError(f"column {name!r} has the type {found}, which the warehouse does not have")


def _json_text(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)


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
    (lambda found: pa.types.is_string(found) or pa.types.is_large_string(found), pa.string()),
    (lambda found: pa.types.is_binary(found) or pa.types.is_large_binary(found), pa.binary()),
    (pa.types.is_fixed_size_binary, pa.binary()),
)
