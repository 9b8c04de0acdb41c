"""A landing zone and a DuckDB file in a temporary folder, for tests of ingestion."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from analytics_dagster.ingestion.landing import Landing
from analytics_dagster.ingestion.load_report import LoadReport
from analytics_dagster.ingestion.loading import load_table
from analytics_dagster.ingestion.tables import LandedTable
from analytics_dagster.warehouse import Warehouse

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
ORDERS = LandedTable(
    "source.p.shop.orders", "shop", "orders", "raw", "orders", "orders/**/*.parquet", "parquet", ("id",), "updated_at"
)
EVENTS = LandedTable("source.p.shop.events", "shop", "events", "raw", "events", "events/*.csv", "csv")
LOG = logging.getLogger("test_ingestion")


@dataclass(frozen=True)
class Shop:
    """A landing zone and a warehouse in a temporary folder."""

    folder: Path

    @property
    def landing(self) -> Landing:
        """The landing zone."""
        return Landing(str(self.folder / "landing"))

    @property
    def warehouse(self) -> Warehouse:
        """The warehouse."""
        return Warehouse(adapter="duckdb", path=str(self.folder / "warehouse.duckdb"), lock_timeout=1)

    def put(self, path: str, content: bytes, minute: int = 0) -> Path:
        """Write a file to the landing zone, modified ``minute`` minutes after the start."""
        file = self.folder / "landing" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        moment = (START + timedelta(minutes=minute)).timestamp()
        os.utime(file, (moment, moment))
        return file

    def put_orders(self, path: str, rows: Mapping[str, tuple[int | None, int]], minute: int = 0, **more: Any) -> Path:
        """Write orders to the landing zone: by id, the hour of the version (or None) and the price."""
        hours = [None if hour is None else START + timedelta(hours=hour) for hour, _ in rows.values()]
        columns = {
            "id": list(rows),
            "price": [price for _, price in rows.values()],
            "updated_at": pa.array(hours, pa.timestamp("us", "UTC")),
        }
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({**columns, **more}), sink)
        return self.put(f"orders/{path}", sink.getvalue().to_pybytes(), minute)

    def load(self, table: LandedTable = ORDERS) -> LoadReport:
        """Load the new files."""
        return load_table(table, self.landing, self.warehouse, LOG)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with duckdb.connect(self.warehouse.path, read_only=True) as connection:
            return connection.execute(sql).fetchall()

    @property
    def prices(self) -> dict[str, int]:
        """The price of each order."""
        rows = self.query("select id, price from raw.orders order by id")
        assert len({key for key, _ in rows}) == len(rows), "duplicate rows"
        return dict(rows)
