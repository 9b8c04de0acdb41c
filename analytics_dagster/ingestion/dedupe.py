"""Which version of each row holds, when several arrive or a newer one is already there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

_ARRIVAL = "_arrival"


def newest(incoming: pa.Table, key: Sequence[str], cursor: str | None, held: pa.Table | None) -> pa.Table:
    """Return one row a key: the newest by cursor, and only if ``held`` has no newer one.

    ``incoming`` has its rows in the order of arrival, which decides between equal cursors, and where there is no
    cursor. A null cursor is older than any other. ``held`` has the key and cursor columns of the warehouse's
    rows, or is None where nothing can be newer.
    """
    order = f"{_quoted(cursor)} desc nulls last, {_ARRIVAL} desc" if cursor else f"{_ARRIVAL} desc"
    keys = ", ".join(_quoted(name) for name in key)
    arrival = pa.array(range(incoming.num_rows), pa.int64())
    with duckdb.connect() as memory:
        memory.register("incoming", incoming.append_column(_ARRIVAL, arrival))
        sql = f"from incoming qualify row_number() over (partition by {keys} order by {order}) = 1"
        if cursor and held is not None and held.num_rows:
            memory.register("held", held)
            matches = " and ".join(f"held.{_quoted(name)} = candidate.{_quoted(name)}" for name in key)
            newer = f"(candidate.{_quoted(cursor)} is null or held.{_quoted(cursor)} > candidate.{_quoted(cursor)})"
            sql = f"from ({sql}) as candidate where not exists (from held where {matches} and {newer})"
        chosen = memory.execute(f"select {_ARRIVAL} from ({sql}) order by 1").to_arrow_table()  # noqa: S608
    return incoming.take(chosen.column(0))


def could_be_newer(incoming: pa.Table, cursor: str) -> tuple[str, list[Any]]:
    """Return the SQL condition, with its parameters, on held rows that might be newer than an incoming one.

    Only a row whose cursor is above the least incoming cursor can be, so that no key has to be sent.
    """
    values = incoming.column(cursor)
    if values.null_count:
        return f"{_quoted(cursor)} is not null", []
    return f"{_quoted(cursor)} > ?", [pc.min(values).as_py()]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
