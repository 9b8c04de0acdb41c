"""dlt's destination in one of several databases of a connection, with dlt's inner classes and without them."""

from __future__ import annotations

from pathlib import Path

import dlt
import duckdb
import pytest

from analytics_dagster.dagster_internals import guard
from analytics_dagster.dagster_internals.dlt_duckdb import _probe, destination_in

pytestmark = pytest.mark.slow


def test_the_private_names_exist() -> None:
    assert _probe() is not None


@pytest.mark.parametrize("no_internals", ["", "1"])
def test_rows_are_loaded_into_the_named_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_internals: str
) -> None:
    monkeypatch.setenv(guard.NO_INTERNALS, no_internals)
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    with duckdb.connect() as connection:
        connection.execute(f"attach '{tmp_path / 'shop.duckdb'}' as \"the shop\"")
        connection.execute('use "the shop"')
        pipeline = dlt.pipeline(
            "test_dlt_duckdb",
            pipelines_dir=str(tmp_path / "pipelines"),
            destination=destination_in(connection, "the shop", {"enable_dataset_name_normalization": False}),
            dataset_name="raw",
        )
        for _ in range(2):
            pipeline.run([{"id": 1}], table_name="orders", write_disposition="replace").raise_on_failed_jobs()
        assert connection.execute('select id from "the shop".raw.orders').fetchall() == [(1,)]
        databases = connection.execute(
            "select distinct table_catalog from information_schema.tables where table_schema = 'raw'"
        ).fetchall()
    assert databases == [("the shop",)]
