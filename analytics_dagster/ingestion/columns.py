"""Finds the type of each column (declared, in the warehouse, or inferred) and converts the rows of files to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from analytics_dagster.ingestion.parsing import DECIMAL, TIMESTAMP, MalformedFileError, Parsed
from analytics_dagster.ingestion.tables import FILE_COLUMN, DataType, Format

ARROW_TYPES: Mapping[DataType, pa.DataType] = {
    "text": pa.string(),
    "json": pa.string(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": TIMESTAMP,
    "date": pa.date32(),
    "time": pa.time64("us"),
    "decimal": DECIMAL,
    "binary": pa.binary(),
}

# The types that undeclared text may have. JSON has its own types for everything except times.
_CANDIDATES: Mapping[Format, Sequence[DataType]] = {
    "csv": ("bigint", "double", "bool", "date", "timestamp"),
    "jsonl": ("timestamp",),
    "parquet": (),
}
# The pattern of each type: "007" is a code, "nan" is a word, "1" is no time.
_SHAPES: Mapping[DataType, str] = {
    "bigint": r"^-?(0|[1-9]\d*)$",
    "double": r"^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$",
    "bool": r"^(?i:true|false)$",
    "date": r"^\d{4}-\d{2}-\d{2}$",
    "timestamp": r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}.*$",
}
_HAS_ZONE = r":\d{2}(\.\d+)?(Z|[+-]\d{2}(:?\d{2})?)$"


def fit(parsed: Parsed, expected: Mapping[str, DataType], required: Sequence[str]) -> Parsed:
    """Return a file's rows with the expected types; columns without an expected type are not changed.

    ``required`` columns must exist without nulls. Raises `MalformedFileError` that names the column.
    """
    table = parsed.table
    absent = [name for name in required if name not in table.column_names]
    if absent:
        raise MalformedFileError(
            f"it lacks the key column {', '.join(absent)}; it has {', '.join(table.column_names) or 'none'}"
        )
    if FILE_COLUMN in table.column_names:
        raise MalformedFileError(f"the name of its column {FILE_COLUMN!r} is reserved for the file of a row")
    for name in table.column_names:
        if name in expected:
            column = _converted(name, table.column(name), expected[name])
            table = table.set_column(table.column_names.index(name), name, column)
    for name in required:
        if table.column(name).null_count:
            raise MalformedFileError(f"the key column {name!r} is empty in {table.column(name).null_count} rows")
    return Parsed(table, parsed.nested)


def agree(files: Iterable[Parsed], expected: Mapping[str, DataType], file_format: Format) -> dict[str, DataType]:
    """Return the type of each column in any of the files, in order, without columns that have no value.

    A column without an expected type gets the narrowest type that fits its values in all files.
    """
    found: dict[str, list[pa.ChunkedArray]] = {}
    nested: set[str] = set()
    for parsed in files:
        nested |= parsed.nested
        for name in parsed.table.column_names:
            found.setdefault(name, []).append(parsed.table.column(name))
    types: dict[str, DataType] = {}
    for name, columns in found.items():
        inferred = expected.get(name) or ("json" if name in nested else _inferred(columns, _CANDIDATES[file_format]))
        if inferred:
            types[name] = inferred
    return types


def combine(files: Sequence[Parsed], types: Mapping[str, DataType]) -> pa.Table:
    """Return the rows of several files as one table with exactly these columns; a missing column is null."""
    tables = []
    for parsed in files:
        columns = {
            name: _converted(name, parsed.table.column(name), data_type)
            if name in parsed.table.column_names
            else pa.nulls(parsed.table.num_rows, ARROW_TYPES[data_type])
            for name, data_type in types.items()
        }
        tables.append(pa.table(columns))
    return pa.concat_tables(tables, promote_options="permissive")  # decimals may differ in precision


def _inferred(columns: Sequence[pa.ChunkedArray], candidates: Sequence[DataType]) -> DataType | None:
    kinds = {column.type for column in columns if column.null_count < len(column)}
    if not kinds:
        return None
    if kinds == {pa.string()}:
        text = pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string())
        if pc.all(pc.equal(text, "")).as_py():
            return "text"
        return next((candidate for candidate in candidates if _holds_only(text, candidate)), "text")
    if len(kinds) == 1:
        return _data_type(kinds.pop())
    if all(pa.types.is_decimal(kind) or kind == pa.int64() for kind in kinds):
        return "decimal"
    return "double" if kinds == {pa.int64(), pa.float64()} else "text"


def _holds_only(text: pa.ChunkedArray, data_type: DataType) -> bool:
    if not pc.all(pc.match_substring_regex(_without_empty(text), _SHAPES[data_type]), min_count=0).as_py():
        return False
    try:
        _from_text(text, data_type)
    except pa.ArrowInvalid:
        return False
    return True


def _data_type(found: pa.DataType) -> DataType:
    if pa.types.is_decimal(found):
        return "decimal"
    return next((name for name, arrow in ARROW_TYPES.items() if arrow == found), "text")


def _converted(name: str, column: pa.ChunkedArray, data_type: DataType) -> pa.ChunkedArray:
    target = ARROW_TYPES[data_type]
    if column.type == target or (data_type == "decimal" and pa.types.is_decimal(column.type)):
        return column
    try:
        return _from_text(column, data_type) if column.type == pa.string() else column.cast(target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise MalformedFileError(f"column {name!r} does not fit its type {data_type}: {error}") from None


def _from_text(column: pa.ChunkedArray, data_type: DataType) -> pa.ChunkedArray:
    """Return text converted to a type; empty text is null. Raises `pa.ArrowInvalid` with the first invalid value."""
    target = ARROW_TYPES[data_type]
    if data_type in ("text", "json", "binary"):
        return column.cast(target)
    text = _without_empty(pc.utf8_trim_whitespace(column))
    return _read_timestamp(text) if data_type == "timestamp" else text.cast(target)


def _without_empty(text: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _read_timestamp(text: pa.ChunkedArray) -> pa.ChunkedArray:
    midnight = pc.if_else(pc.match_substring_regex(text, _SHAPES["date"]), "T00:00:00", "")
    text = pc.binary_join_element_wise(text, midnight, "")
    zone = pc.if_else(pc.match_substring_regex(text, _HAS_ZONE), "", "Z")
    text = pc.binary_join_element_wise(text, zone, "")
    try:
        return text.cast(TIMESTAMP)
    except pa.ArrowInvalid:  # more digits than microseconds: truncate them
        return text.cast(pa.timestamp("ns", tz="UTC")).cast(TIMESTAMP, safe=False)
