"""Finds the type of each column (declared, in the warehouse, or inferred) and converts the rows of files to it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from analytics_dagster.ingestion.column_types import TEXT, ColumnType, DataType, arrow_type, decimal_type, widened
from analytics_dagster.ingestion.conversion import SHAPES, ConversionError, convert, loses_nanoseconds, without_empty
from analytics_dagster.ingestion.parsing import MalformedFileError, Parsed
from analytics_dagster.ingestion.tables import FILE_COLUMN, Format

RESERVED = "_dlt_"
"""The names of dlt's own columns begin with this."""

# The types that undeclared text may have. JSON has its own types for everything except times.
_CANDIDATES: Mapping[Format, Sequence[DataType]] = {
    "csv": ("bigint", "double", "bool", "date", "timestamp"),
    "jsonl": ("timestamp",),
    "parquet": (),
}


@dataclass(frozen=True)
class KnownColumns:
    """The columns that a table is known to have, with their types, before a file is loaded.

    The types in ``declared`` are those of the project; all others were inferred, so text must look like them.
    """

    types: Mapping[str, ColumnType] = field(default_factory=dict)
    declared: Collection[str] = frozenset()


@dataclass(frozen=True)
class Fitted:
    """The rows of a file with the known types. ``wider`` has the columns that need a wider type than the known one.

    ``notes`` say what happened to values, for users.
    """

    parsed: Parsed
    wider: Mapping[str, ColumnType] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def fit(parsed: Parsed, known: KnownColumns, required: Sequence[str]) -> Fitted:
    """Return a file's rows with the known types; columns that are not known, or need a wider type, are not changed.

    ``required`` columns must exist without nulls. Raises `MalformedFileError` that names the column.
    """
    table, wider = parsed.table, dict[str, ColumnType]()
    absent = [name for name in required if name not in table.column_names]
    if absent:
        raise MalformedFileError(
            f"it lacks the key column {', '.join(absent)}; it has {', '.join(table.column_names) or 'none'}"
        )
    for name in table.column_names:
        if name == FILE_COLUMN or name.startswith(RESERVED):
            raise MalformedFileError(f"the name of its column {name!r} is reserved for what the loader adds to a row")
        found = table.column(name).type
        if name not in known.types and found == pa.string():
            continue  # its type depends on the other files
        target = known.types.get(name) or arrow_type(found)
        try:
            column = _converted(parsed, name, target, is_declared=name in known.declared)
        except ConversionError as error:
            needed = None if name in known.declared else _wider(parsed, name, target)
            if needed is None:
                raise MalformedFileError(f"column {name!r} does not fit its type {target}: {error}") from None
            wider[name] = needed
        else:
            table = table.set_column(table.column_names.index(name), name, column)
    for name in required:
        if table.column(name).null_count:
            raise MalformedFileError(f"the key column {name!r} is empty in {table.column(name).null_count} rows")
    return Fitted(replace(parsed, table=table), wider, tuple(_notes(parsed, known)))


def agree(files: Iterable[Parsed], known: KnownColumns, file_format: Format) -> dict[str, ColumnType]:
    """Return the type of each column in any of the files, in order, without columns that have no value.

    An unknown column gets the narrowest type that all files fit without loss, or text.
    """
    holders: dict[str, list[Parsed]] = {}
    for parsed in files:
        for name in parsed.table.column_names:
            holders.setdefault(name, []).append(parsed)
    types = {name: known.types.get(name) or _inferred(name, found, file_format) for name, found in holders.items()}
    return {name: found for name, found in types.items() if found}


def combine(files: Sequence[Parsed], types: Mapping[str, ColumnType]) -> pa.Table:
    """Return the rows of several files as one table with exactly these columns; a missing column is null.

    Raises `ConversionError` if a file does not fit.
    """
    tables = []
    for parsed in files:
        columns = {
            name: _converted(parsed, name, found)
            if name in parsed.table.column_names
            else pa.nulls(parsed.table.num_rows, found.arrow)
            for name, found in types.items()
        }
        tables.append(pa.table(columns))
    empty = pa.schema([(name, found.arrow) for name, found in types.items()]).empty_table()
    return pa.concat_tables([empty, *tables])


def fits(parsed: Parsed, name: str, target: ColumnType) -> bool:
    """Return whether a column of a file, if it has it, can be converted to a type without loss."""
    try:
        if name in parsed.table.column_names:
            _converted(parsed, name, target, is_declared=False)
    except ConversionError:
        return False
    return True


def _converted(parsed: Parsed, name: str, target: ColumnType, *, is_declared: bool = True) -> pa.ChunkedArray:
    column = parsed.table.column(name)
    if target.name == "json" and column.type == pa.string():
        if name in parsed.nested:
            return column
        if parsed.has_json_values:
            return pa.chunked_array([pa.array(map(_as_json, column.to_pylist()), pa.string())])
    return convert(column, target, is_declared=is_declared)


def _as_json(text: str | None) -> str | None:
    """Return a JSON string as JSON: as it is if it contains an object or an array, as some producers write them."""
    if text is None:
        return None
    try:
        is_nested = isinstance(json.loads(text), dict | list)
    except ValueError:
        is_nested = False
    return text if is_nested else json.dumps(text, ensure_ascii=False)


def _wider(parsed: Parsed, name: str, held: ColumnType) -> ColumnType | None:
    """Return the type that has the values of a table's column and of a file's; None if there is none."""
    if name in parsed.nested:
        return None
    column = parsed.table.column(name)
    found = _types_of_text(column) if column.type == pa.string() else iter([arrow_type(column.type)])
    candidates = (widened(held, one) for one in found)
    return next((one for one in candidates if one and one != held and fits(parsed, name, one)), None)


def _types_of_text(column: pa.ChunkedArray) -> Iterator[ColumnType]:
    yield ColumnType("double")
    yield ColumnType("timestamp")
    text = without_empty(column)
    if pc.all(pc.match_substring_regex(text, SHAPES["decimal"]), min_count=0).as_py():
        digits = pc.max(pc.utf8_length(pc.replace_substring_regex(text, r"^-|\..*$", ""))).as_py()
        scale = pc.max(pc.utf8_length(pc.replace_substring_regex(text, r"^[^.]*\.?", ""))).as_py()
        exact = decimal_type(digits or 0, scale or 0)
        if exact:
            yield exact


def _inferred(name: str, files: Sequence[Parsed], file_format: Format) -> ColumnType | None:
    """Return the narrowest type that the values of a column in all files fit, or None if there is no value."""
    files = [one for one in files if one.table.column(name).null_count < one.table.num_rows]
    if not files:
        return None
    result = _of_values(name, files[0], file_format)
    for parsed in files[1:]:
        result = widened(result, _of_values(name, parsed, file_format)) or TEXT
    return result if all(fits(parsed, name, result) for parsed in files) else TEXT


def _of_values(name: str, parsed: Parsed, file_format: Format) -> ColumnType:
    column = parsed.table.column(name)
    if name in parsed.nested:
        return ColumnType("json")
    if column.type != pa.string():
        return arrow_type(column.type)
    if pc.all(pc.equal(column, "")).as_py():
        return TEXT
    candidates = (ColumnType(one) for one in _CANDIDATES[file_format])
    return next((one for one in candidates if fits(parsed, name, one)), TEXT)


def _notes(parsed: Parsed, known: KnownColumns) -> Iterator[str]:
    for name in parsed.table.column_names:
        column, target = parsed.table.column(name), known.types.get(name)
        is_moment = column.type == pa.string() and target is not None and target.name == "timestamp"
        if name in parsed.cut or (is_moment and loses_nanoseconds(column)):
            yield f"the times of column {name!r} are cut to microseconds"
