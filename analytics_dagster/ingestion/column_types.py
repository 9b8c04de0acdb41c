"""The types of columns: dlt's names, their Arrow and SQL types, and the type that holds the values of two."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import pyarrow as pa

DataType = Literal["text", "bigint", "double", "bool", "timestamp", "date", "time", "decimal", "binary", "json"]
"""dlt's names of column types; each of its destinations maps them to its own."""

MAX_DIGITS = 38
"""The most digits of a decimal, in Arrow, DuckDB and DuckLake."""

_INTEGER_DIGITS = 19  # of 64 bits

_SQL_TYPES: Mapping[str, DataType] = {
    **dict.fromkeys(("text", "varchar", "character varying", "char", "character", "string", "uuid"), "text"),
    **dict.fromkeys(("bigint", "integer", "int", "smallint", "int2", "int4", "int8", "int64", "long"), "bigint"),
    **dict.fromkeys(("double", "double precision", "float", "float4", "float8", "float64", "real"), "double"),
    **dict.fromkeys(("bool", "boolean"), "bool"),
    **dict.fromkeys(("timestamp", "timestamptz", "timestamp with time zone", "datetime"), "timestamp"),
    **dict.fromkeys(("timestamp without time zone", "timestamp_ntz", "timestamp_tz"), "timestamp"),
    **dict.fromkeys(("decimal", "numeric", "number"), "decimal"),
    **dict.fromkeys(("binary", "bytea", "blob", "bytes", "varbinary"), "binary"),
    **dict.fromkeys(("json", "jsonb"), "json"),
    **dict.fromkeys(("time", "time without time zone"), "time"),
    "date": "date",
}

_DECIMAL = re.compile(r"(?:decimal|numeric|number)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")


@dataclass(frozen=True)
class ColumnType:
    """The type of a column; ``precision`` and ``scale`` are a decimal's digits, in total and after the point."""

    name: DataType
    precision: int = MAX_DIGITS
    scale: int = 9

    def __str__(self) -> str:
        """Return the type as messages name it; also the SQL type, if a column can be widened to it."""
        return f"decimal({self.precision},{self.scale})" if self.name == "decimal" else self.name

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type of its values."""
        import pyarrow as pa  # a load of the location does not need it

        if self.name == "decimal":
            return pa.decimal128(self.precision, self.scale)
        types: Mapping[str, pa.DataType] = {
            **dict.fromkeys(("text", "json"), pa.string()),
            "bigint": pa.int64(),
            "double": pa.float64(),
            "bool": pa.bool_(),
            "timestamp": pa.timestamp("us", tz="UTC"),
            "date": pa.date32(),
            "time": pa.time64("us"),
            "binary": pa.binary(),
        }
        return types[self.name]

    @property
    def sql(self) -> str:
        """The SQL type, for a type that `widened` returns: it is the same in all warehouses."""
        return {"double": "double precision", "timestamp": "timestamp with time zone"}.get(self.name, str(self))


TEXT = ColumnType("text")


def decimal_type(digits: int, scale: int) -> ColumnType | None:
    """Return the decimal with so many digits before and after the point; None if these are too many."""
    return ColumnType("decimal", digits + scale, scale) if digits + scale <= MAX_DIGITS else None


def declared_type(text: str) -> ColumnType | None:
    """Return the type that a project declares, by dlt's or SQL's name, or None if it is unknown.

    A decimal gets all 38 digits, of which at least nine are a fraction, however few of them the declaration names.
    """
    found = sql_type(text)
    if found is None or found.name != "decimal":
        return found
    return ColumnType("decimal", MAX_DIGITS, max(ColumnType.scale, found.scale))


def sql_type(text: str) -> ColumnType | None:
    """Return the type for an SQL type, or None if it is unknown."""
    match = _DECIMAL.fullmatch(text.strip().lower())
    if match:
        return decimal_type(int(match[1]) - int(match[2] or 0), int(match[2] or 0))
    name = _SQL_TYPES.get(text.split("(", maxsplit=1)[0].strip().lower())
    return ColumnType(name) if name else None


def arrow_type(found: pa.DataType) -> ColumnType:
    """Return the type for an Arrow type of parsed files."""
    import pyarrow as pa  # see `ColumnType.arrow`

    if pa.types.is_decimal(found):
        return ColumnType("decimal", found.precision, found.scale)
    return next((one for one in map(ColumnType, get_args(DataType)) if one.arrow == found), TEXT)


def widened(held: ColumnType, found: ColumnType) -> ColumnType | None:
    """Return the type with all values of two types, or None if there is none but text.

    A bigint and a double are a double: the caller checks that it has all integers exactly.
    """
    if held == found:
        return held
    names = {held.name, found.name}
    if names == {"bigint", "double"}:
        return ColumnType("double")
    if names == {"date", "timestamp"}:
        return ColumnType("timestamp")
    if names <= {"bigint", "decimal"}:
        (digits, scale), (other_digits, other_scale) = _digits(held), _digits(found)
        return decimal_type(max(digits, other_digits), max(scale, other_scale))
    return None


def _digits(one: ColumnType) -> tuple[int, int]:
    """Return the number of digits before and after the point."""
    return (_INTEGER_DIGITS, 0) if one.name == "bigint" else (one.precision - one.scale, one.scale)
