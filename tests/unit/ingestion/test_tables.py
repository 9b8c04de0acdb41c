"""Declarations of landed tables in dbt sources."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analytics_dagster.errors import ProjectError
from analytics_dagster.ingestion.tables import LandedTable, column_name, landed_tables


def source(landing: Any, **more: Any) -> dict[str, Any]:
    return {
        "source_name": "shop",
        "name": "orders",
        "schema": "raw",
        "identifier": "orders_v2",
        "original_file_path": "models/shop.yml",
        "meta": {"landing": landing},
        **more,
    }


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def test_a_source_with_landing_metadata_is_a_landed_table() -> None:
    landing = {
        "path": "orders/**/*.parquet",
        "format": "parquet",
        "primary_key": ["ID"],
        "cursor": "updated_at",
        "columns": {"price": "bigint"},
    }
    columns = {"id": {"data_type": "VARCHAR(36)"}, "price": {"data_type": "numeric(18,2)"}, "note": {"data_type": None}}
    (table,) = landed_tables({"source.p.shop.orders": source(landing, columns=columns), "other": {"meta": {}}})
    assert (table.unique_id, table.schema, table.identifier) == ("source.p.shop.orders", "raw", "orders_v2")
    assert table.primary_key == ("id",)
    assert table.columns == {"id": "text", "price": "bigint"}  # landing.columns wins over data_type
    assert table.untyped == ("note", "updated_at")


def test_landing_metadata_may_be_under_config_and_a_key_may_be_one_name() -> None:
    node = source(None, meta={}, config={"meta": {"landing": {"path": "a.csv", "format": "csv", "primary_key": "id"}}})
    assert landed_tables({"s": node})[0].primary_key == ("id",)


@pytest.mark.parametrize(
    ("landing", "message"),
    [
        ({"path": "a.csv", "format": "csv", "primry_key": ["id"]}, "landing.primry_key: is not a known key"),
        ({"path": "a.xlsx", "format": "excel"}, "landing.format"),
        ({"format": "csv"}, "landing.path: Field required"),
        ({"path": "/abs/*.csv", "format": "csv"}, "glob relative to the landing zone"),
        ({"path": "../*.csv", "format": "csv"}, "glob relative to the landing zone"),
        ({"path": "a.csv", "format": "csv", "columns": {"price": "money"}}, "landing.columns.price"),
        ("orders", "landing"),
        (None, "landing.path"),
    ],
)
def test_an_invalid_declaration_is_an_error_that_names_table_file_and_remedy(landing: Any, message: str) -> None:
    with pytest.raises(ProjectError) as caught:
        landed_tables({"s": source(landing)})
    assert message in caught.value.problem
    assert "shop.orders in models/shop.yml" in caught.value.problem
    assert "primary_key" in caught.value.remedy


@pytest.mark.parametrize(
    ("path", "folder"),
    [("orders/**/*.csv", "orders"), ("a/b/c.csv", "a/b"), ("*.csv", ""), ("a/202?/b/*.csv", "a"), ("x.csv", "")],
)
def test_only_the_folder_before_the_first_wildcard_is_listed(path: str, folder: str) -> None:
    assert LandedTable("u", "s", "t", "raw", "t", path, "csv").folder == folder


@pytest.mark.parametrize(
    ("name", "expected"),
    [("id", "id"), ("Order ID", "order_id"), (" ID ", "id"), ("price ($)", "price_"), ("2nd", "_2nd"), ("", "_")],
)
def test_columns_have_names_that_need_no_quoting(name: str, expected: str) -> None:
    assert column_name(name) == expected
