"""Exports the daily sales as one Parquet file per month, for tools outside of the warehouse.

Spark, DuckDB, Athena and others read `sales_month=2026-03/daily_sales.parquet` as a partitioned table. `_latest.json`
is written last and lists all files. An unchanged month is not written again.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analytics_dagster.assets.consumers import ConsumerInputs
from analytics_dagster.shop import select
from analytics_dagster.warehouse.folder import Folder

FOLDER = "daily_sales"
LATEST = "_latest.json"

SCHEMA = pa.schema(
    [
        ("store_id", pa.string()),
        ("store_name", pa.string()),
        ("sales_date", pa.date32()),
        ("order_count", pa.int32()),
        ("customer_count", pa.int32()),
        ("new_customer_count", pa.int32()),
        ("item_count", pa.int32()),
        ("revenue", pa.decimal128(16, 2)),
        ("tax_paid", pa.decimal128(16, 2)),
        ("order_total", pa.decimal128(16, 2)),
        ("gross_profit", pa.decimal128(16, 2)),
        ("average_order_value", pa.decimal128(16, 2)),
    ]
)
"""The columns and types that consumers of the export rely on."""


def materialize(inputs: ConsumerInputs) -> dg.MaterializeResult[None]:
    """Write new and changed files, then the list of files, then delete the files that are not in it.

    An empty mart would delete all files, so it raises `dagster.Failure` instead.
    """
    amounts = [field.name for field in SCHEMA if pa.types.is_decimal(field.type)]
    columns = [name for name in SCHEMA.names if name not in amounts]
    query = select(inputs.tables["daily_sales"], columns, amounts, order_by="sales_date, store_id")
    sales = inputs.warehouse.read(query)
    if sales.empty:
        raise dg.Failure(
            "The mart daily_sales is empty, so the export is not changed.\n"
            "  -> Check that orders are loaded, build the marts, and run this asset again.",
            allow_retries=False,
        )
    folder = inputs.outbound / FOLDER
    files = month_files(sales)
    written = [name for name, content in files.items() if folder.write(name, content)]
    folder.write(LATEST, _listing(files, sales))
    for name in sorted(_exported(folder) - files.keys()):
        folder.delete(name)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(sales),
            "dagster/column_schema": dg.TableSchema([dg.TableColumn(field.name, str(field.type)) for field in SCHEMA]),
            "dagster/uri": folder.link(LATEST),
            "path": dg.MetadataValue.path(folder.path(LATEST)),
            "files": len(files),
            "files written": len(written),
            "bytes": sum(map(len, files.values())),
        }
    )


def month_files(sales: pd.DataFrame) -> Mapping[str, bytes]:
    """Return the Parquet files by name, with the same bytes for equal rows; ``sales`` has the columns of `SCHEMA`."""
    sales = sales.assign(sales_date=pd.to_datetime(sales.sales_date))
    months = sales.sales_date.dt.strftime("%Y-%m")
    return {f"sales_month={month}/daily_sales.parquet": _parquet(rows) for month, rows in sales.groupby(months)}


def _parquet(sales: pd.DataFrame) -> bytes:
    # safe=False rounds floats to cents.
    columns = [pa.array(sales[field.name], from_pandas=True).cast(field.type, safe=False) for field in SCHEMA]
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, schema=SCHEMA), buffer, compression="zstd")
    return buffer.getvalue()


def _listing(files: Mapping[str, bytes], sales: pd.DataFrame) -> bytes:
    listing = {
        "rows": len(sales),
        "last_sales_date": pd.Timestamp(sales.sales_date.max()).date().isoformat(),
        "columns": {field.name: str(field.type) for field in SCHEMA},
        "files": [
            {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in sorted(files.items())
        ],
    }
    return json.dumps(listing, indent=2).encode() + b"\n"


def _exported(folder: Folder) -> set[str]:
    return {name for name in folder.names() if name.startswith("sales_month=") and name.endswith(".parquet")}
