"""Writes the rows of a batch and the ledger's entries of its files to the warehouse, in one load package of dlt."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from filelock import FileLock, Timeout

from analytics_dagster.ingestion.conversion import ConversionError
from analytics_dagster.ingestion.destination import STAGING_LAYOUT, Store, columns_of, names_of
from analytics_dagster.ingestion.ledger import LEDGER, LEDGER_COLUMNS, LedgerEntry
from analytics_dagster.ingestion.tables import FILE_COLUMN, LandedTable, column_name
from analytics_dagster.settings import set_default_variable
from analytics_dagster.warehouse import Table

_FOLDER = "analytics-dlt-"
_OLD = 86_400.0  # seconds; earlier versions did not lock their folders
_LONGEST_NAME = 64  # of a schema of dlt

_DATA_ERRORS = (
    ConversionError,
    duckdb.DataError,
    duckdb.IntegrityError,
    duckdb.InvalidInputException,
    pa.ArrowInvalid,
    pa.ArrowNotImplementedError,
    ValueError,
    OverflowError,
    RecursionError,
)
_DATA_STATES = ("22", "23", "54")
"""PostgreSQL's classes of errors for invalid data, violated constraints, and exceeded limits (SQLSTATE)."""


def write(store: Store, table: LandedTable, rows: pa.Table | None, entries: Sequence[LedgerEntry]) -> str:
    """Merge the rows into the table and append the entries to the ledger; return dlt's load id.

    With a primary key, a row replaces the row of its key; without one, the rows of a file replace those of the same
    file. dlt's local state exists only during this call, so a killed run leaves none behind. Raises dlt's errors.
    """
    # dlt reads this setting before `dlt.config` can be set, so only a variable turns its telemetry off.
    set_default_variable("RUNTIME__DLTHUB_TELEMETRY", "false")
    import dlt  # takes two seconds, which a run without new files does not need

    dlt.config["load.truncate_staging_dataset"] = True
    # dbt's incremental models filter by the load id; dlt does not add it to Arrow tables by default.
    dlt.config["normalize.parquet_normalizer.add_dlt_load_id"] = True
    _reset_dlt(store, table)
    with _working_folder() as working_dir:
        pipeline = dlt.pipeline(
            f"landing_{_schema_name(table)}",
            pipelines_dir=str(working_dir),
            destination=store.destination(),
            dataset_name=table.schema,
        )
        pipeline.config.restore_from_destination = False
        logging.getLogger("dlt").setLevel(logging.ERROR)  # it warns about each JSON column, which is text in Arrow
        resources = [_ledger_resource(dlt, table, entries)]
        if rows is not None:
            resources.append(_rows_resource(dlt, store, table, rows))
        info = pipeline.run(resources, schema=dlt.Schema(_schema_name(table)))
        info.raise_on_failed_jobs()
        pipeline.deactivate()
    return str(info.loads_ids[-1])


def about_data(error: BaseException) -> str | None:
    """Return what an error says about the rows that were written; None if it is about something else.

    dlt wraps the warehouse's errors in its own, each in an attribute of another name.
    """
    seen, left = set[int](), [error]
    found: BaseException | None = None
    while left:
        one = left.pop()
        seen.add(id(one))
        if isinstance(one, (OSError, duckdb.OperationalError, MemoryError)):
            return None
        if isinstance(one, _DATA_ERRORS) or str(getattr(one, "pgcode", None) or "")[:2] in _DATA_STATES:
            found = one
        causes = (getattr(one, name, None) for name in _CAUSES)
        left += [cause for cause in causes if isinstance(cause, BaseException) and id(cause) not in seen]
    return None if found is None else " ".join(str(found).split())


_CAUSES = ("exception", "client_exception", "job_exception", "dbapi_exception", "__cause__", "__context__")


@contextmanager
def _working_folder() -> Iterator[Path]:
    """Make a folder for dlt's files, which contain rows; first delete the folders of killed loads."""
    parent = Path(tempfile.gettempdir())
    for folder in parent.glob(f"{_FOLDER}*/"):
        _delete_if_left(folder)
    folder = parent / f"{_FOLDER}{uuid.uuid4().hex}"
    with FileLock(f"{folder}.lock"):  # held before the folder exists
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            Path(f"{folder}.lock").unlink(missing_ok=True)


def _delete_if_left(folder: Path) -> None:
    lock = Path(f"{folder}.lock")
    with suppress(OSError, Timeout):  # of another user, or in use; the temporary folder may be shared
        if not lock.exists() and time.time() - folder.stat().st_mtime < _OLD:
            return
        with FileLock(lock, timeout=0):
            shutil.rmtree(folder)
            lock.unlink(missing_ok=True)


def _schema_name(table: LandedTable) -> str:
    name = column_name(table.identifier)
    if len(name) <= _LONGEST_NAME:
        return name
    return f"t_{hashlib.blake2b(name.encode(), digest_size=16).hexdigest()}"


def _rows_resource(dlt: Any, store: Store, table: LandedTable, rows: pa.Table) -> Any:
    place = Table(table.schema, table.identifier)
    held = columns_of(store, place)
    types = {**table.types, **held}
    key = table.primary_key or (FILE_COLUMN,)
    schema = pa.schema([field.with_nullable(field.name not in key) for field in rows.schema])
    rows = rows.cast(schema)
    hints: dict[str, Any] = {}
    for field in rows.schema:
        if field.name in types and field.type == types[field.name].arrow:
            hints[field.name] = {"data_type": types[field.name].name}
            if types[field.name].name == "decimal":
                hints[field.name] |= {"precision": types[field.name].precision, "scale": types[field.name].scale}
    named = dict(zip(held, names_of(store, place), strict=True))
    return dlt.resource(
        [rows.rename_columns([named.get(name, name) for name in rows.column_names])],
        name=table.identifier,
        columns={named.get(name, name): {"name": named.get(name, name), **hint} for name, hint in hints.items()},
        write_disposition={"disposition": "merge", "strategy": "delete-insert", "deduplicated": True},
        file_format=store.file_format(rows),
        **{"primary_key" if table.primary_key else "merge_key": [named.get(name, name) for name in key]},
    )


def _ledger_resource(dlt: Any, table: LandedTable, entries: Sequence[LedgerEntry]) -> Any:
    return dlt.resource(
        [entry.row(table.identifier) for entry in entries],
        name=LEDGER,
        columns={name: {"name": name, "data_type": data_type} for name, data_type in LEDGER_COLUMNS.items()},
        write_disposition="append",
    )


def _reset_dlt(store: Store, table: LandedTable) -> None:
    """Delete dlt's stored schema and the staging table, since the real table may have been changed by hand.

    dlt does not compare the real table with a schema that it has stored, and keeps the first types of a staging table.
    """
    staging = STAGING_LAYOUT % table.schema
    for schema in (table.schema, staging):
        versions = Table(schema, "_dlt_version")
        if columns_of(store, versions):
            store.execute(f"delete from {versions.sql} where schema_name = ?", [_schema_name(table)])  # noqa: S608
    staged = Table(staging, table.identifier)
    if columns_of(store, staged):
        store.execute(f"drop table {staged.sql}")
