"""Writes the rows of a batch and the ledger's entries of its files to the warehouse, in one load package of dlt."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from analytics_dagster.ingestion.columns import ARROW_TYPES
from analytics_dagster.ingestion.destination import STAGING_LAYOUT, Store, columns_of
from analytics_dagster.ingestion.ledger import LEDGER, LEDGER_COLUMNS, LedgerEntry
from analytics_dagster.ingestion.tables import FILE_COLUMN, DataType, LandedTable, column_name
from analytics_dagster.settings import set_default_variable
from analytics_dagster.warehouse import Table


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
    with tempfile.TemporaryDirectory(prefix="analytics-dlt-") as working_dir:
        pipeline = dlt.pipeline(
            f"landing_{column_name(table.identifier)}",
            pipelines_dir=working_dir,
            destination=store.destination(),
            dataset_name=table.schema,
        )
        pipeline.config.restore_from_destination = False
        logging.getLogger("dlt").setLevel(logging.ERROR)  # it warns about each JSON column, which is text in Arrow
        resources = [_ledger_resource(dlt, table, entries)]
        if rows is not None:
            resources.append(_rows_resource(dlt, store, table, rows))
        info = pipeline.run(resources, schema=dlt.Schema(column_name(table.identifier)))
        info.raise_on_failed_jobs()
        pipeline.deactivate()
    return str(info.loads_ids[-1])


def _rows_resource(dlt: Any, store: Store, table: LandedTable, rows: pa.Table) -> Any:
    key = table.primary_key or (FILE_COLUMN,)
    held: dict[str, DataType] = columns_of(store, Table(table.schema, table.identifier))
    types: dict[str, DataType] = {**table.columns, **held}
    typed = [
        name for name in rows.column_names if name in types and rows.schema.field(name).type == ARROW_TYPES[types[name]]
    ]
    schema = pa.schema([field.with_nullable(field.name not in key) for field in rows.schema])
    return dlt.resource(
        [rows.cast(schema)],
        name=table.identifier,
        columns={name: {"name": name, "data_type": types[name]} for name in typed},
        write_disposition={"disposition": "merge", "strategy": "delete-insert", "deduplicated": True},
        file_format=store.file_format(rows),
        **({"primary_key": list(key)} if table.primary_key else {"merge_key": list(key)}),
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
            store.execute(f"delete from {versions.sql} where schema_name = ?", [column_name(table.identifier)])  # noqa: S608
    staged = Table(staging, table.identifier)
    if columns_of(store, staged):
        store.execute(f"drop table {staged.sql}")
