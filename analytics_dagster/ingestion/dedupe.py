"""Chooses the version of each row to write, if files or the warehouse have several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from analytics_dagster.warehouse import quoted

_ARRIVAL = "_arrival"


def newest(incoming: pa.Table, key: Sequence[str], cursor: str | None, held: pa.Table | None) -> pa.Table:
    """Return one row per key: the newest by cursor, unless ``held`` has a newer one.

    ``incoming`` has its rows in the order of arrival, which decides between equal cursors and without a cursor. A null
    cursor is the oldest. ``held`` has the key and cursor columns of the warehouse's rows; None if none can be newer.
    """
    order = f"{quoted(cursor)} desc nulls last, {_ARRIVAL} desc" if cursor else f"{_ARRIVAL} desc"
    keys = ", ".join(quoted(name) for name in key)
    arrival = pa.array(range(incoming.num_rows), pa.int64())
    with duckdb.connect() as memory:
        memory.register("incoming", incoming.append_column(_ARRIVAL, arrival))
        sql = f"from incoming qualify row_number() over (partition by {keys} order by {order}) = 1"
        if cursor and held is not None and held.num_rows:
            memory.register("held", held)
            matches = " and ".join(f"held.{quoted(name)} = candidate.{quoted(name)}" for name in key)
            newer = f"(candidate.{quoted(cursor)} is null or held.{quoted(cursor)} > candidate.{quoted(cursor)})"
            sql = f"from ({sql}) as candidate where not exists (from held where {matches} and {newer})"
        chosen = memory.execute(f"select {_ARRIVAL} from ({sql}) order by 1").to_arrow_table()  # noqa: S608
    return incoming.take(chosen.column(0))


def lost(held: pa.Table, rows: pa.Table, key: Sequence[str]) -> pa.Table:
    """Return the rows of the warehouse whose keys are not among the rows that are written."""
    matches = " and ".join(f"held.{quoted(name)} = rows.{quoted(name)}" for name in key)
    with duckdb.connect() as memory:
        memory.register("held", held)
        memory.register("rows", rows)
        return memory.execute(f"from held where not exists (from rows where {matches})").to_arrow_table()


def could_be_newer(incoming: pa.Table, cursor: str) -> tuple[str, list[Any]]:
    """Return an SQL condition, with its parameters, for rows of the warehouse that may be newer than an incoming row.

    These have a cursor above the lowest incoming cursor, so the query needs no keys.
    """
    values = incoming.column(cursor)
    if values.null_count:
        return f"{quoted(cursor)} is not null", []
    return f"{quoted(cursor)} > ?", [pc.min(values).as_py()]
