"""The Parquet files of the export."""

from __future__ import annotations

import io

import pandas as pd
import pyarrow.parquet as pq
import pytest

from analytics_dagster.shop.daily_sales_export import SCHEMA, month_files

pytestmark = pytest.mark.slow


def exported(days: int) -> pd.DataFrame:
    dates = pd.date_range("2026-01-30", periods=days)
    whole = {column.name: 7 for column in SCHEMA if str(column.type) == "int32"}
    amounts = {column.name: 1234.1 for column in SCHEMA if str(column.type).startswith("decimal")}
    return pd.DataFrame(
        [{"store_id": "s", "store_name": "Brooklyn", "sales_date": day, **whole, **amounts} for day in dates]
    )


def test_each_month_is_one_file_with_the_documented_types() -> None:
    files = month_files(exported(5))
    assert list(files) == [f"sales_month=2026-{month}/daily_sales.parquet" for month in ("01", "02")]
    table = pq.read_table(io.BytesIO(files["sales_month=2026-02/daily_sales.parquet"]))
    assert table.schema.remove_metadata() == SCHEMA
    assert table.num_rows == 3
    assert str(table["revenue"][0]) == "1234.10"


def test_the_same_rows_are_the_same_bytes() -> None:
    assert month_files(exported(5)) == month_files(exported(5))


def test_no_sales_are_no_files() -> None:
    assert month_files(exported(1).iloc[:0]) == {}
