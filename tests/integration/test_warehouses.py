"""Real PostgreSQL and DuckLake warehouses: loading, reading, writing, maintenance, and unreachable servers."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analytics_dagster.automation.lake_maintenance import JOB, build_lake_maintenance
from analytics_dagster.dagster_internals.guard import NO_INTERNALS
from analytics_dagster.errors import NoWarehouseYetError, WarehouseError
from analytics_dagster.execution.failures.classification import FailureKind, classify
from analytics_dagster.ingestion.landing import Landing
from analytics_dagster.ingestion.load_report import LoadReport
from analytics_dagster.ingestion.loading import load_table
from analytics_dagster.ingestion.tables import LandedTable
from analytics_dagster.project.files import find_project
from analytics_dagster.project.profile import load_target
from analytics_dagster.settings import Settings
from analytics_dagster.warehouse import Kind, Table, Warehouse, kind_of
from tests.integration.production import PROJECT, Servers, opened, run_servers

pytestmark = pytest.mark.integration

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
ORDERS = LandedTable(
    "source.p.shop.orders", "shop", "orders", "raw", "orders", "orders/*.parquet", "parquet", ("id",), "updated_at"
)
EVENTS = LandedTable("source.p.shop.events", "shop", "events", "raw", "events", "events/*.csv", "csv")
TARGETS = {"postgres": "prod", "ducklake": "ducklake"}


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Start both servers, once for all tests."""
    with run_servers() as started:
        yield started


@pytest.fixture(params=list(TARGETS))
def warehouse(request: pytest.FixtureRequest, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """Yield an empty warehouse of each kind."""
    for name, value in servers.environment.items():
        monkeypatch.setenv(name, value)
    # Each test has its own DuckLake: catalog schema and data path.
    own = f"lake_{uuid4().hex[:8]}"
    monkeypatch.setenv("ANALYTICS_LAKE_CATALOG_SCHEMA", own)
    monkeypatch.setenv("ANALYTICS_LAKE_DATA_PATH", f"s3://{servers.s3.bucket}/{own}")
    yield opened(TARGETS[request.param])
    for schema in ("raw", "_dlt_staging_raw", "consumers", own):
        servers.execute(f'drop schema if exists "{schema}" cascade')


@dataclass(frozen=True)
class Shop:
    """A landing zone and its warehouse."""

    folder: Path
    warehouse: Warehouse

    def put(self, path: str, content: bytes, minute: int = 0) -> None:
        """Write a file to the landing zone."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        moment = (START + timedelta(minutes=minute)).timestamp()
        os.utime(file, (moment, moment))

    def put_orders(self, path: str, rows: Mapping[str, tuple[int, float | None]], **more: Any) -> None:
        """Write orders to the landing zone: by id, the hour of the version and the price."""
        moments = [START + timedelta(hours=hour) for hour, _ in rows.values()]
        columns = {
            "id": list(rows),
            "price": pa.array([price for _, price in rows.values()], pa.float64()),
            "updated_at": pa.array(moments, pa.timestamp("us", "UTC")),
        }
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({**columns, **more}), sink)
        self.put(f"orders/{path}", sink.getvalue().to_pybytes())

    def load(self, table: LandedTable = ORDERS) -> LoadReport:
        """Load the new files."""
        return load_table(table, Landing(str(self.folder)), self.warehouse, logging.getLogger("test_warehouses"))


@pytest.fixture
def shop(tmp_path: Path, warehouse: Warehouse) -> Shop:
    return Shop(tmp_path, warehouse)


# --- ingestion ----------------------------------------------------------------------------------------------


def test_changed_rows_are_merged_and_a_second_load_finds_nothing(shop: Shop) -> None:
    shop.put_orders("1.parquet", {"a": (1, 1.0), "b": (5, 2.0)})
    first = shop.load()
    assert (first.files, first.rows, first.row_count) == (1, 2, 2)
    assert first.newest_cursor == START + timedelta(hours=5)
    shop.put_orders(
        "2.parquet", {"a": (2, 1.5), "b": (4, 9.0), "c": (0, None)}, day=[START.date()] * 3, note=["", "x", None]
    )
    second = shop.load()
    assert (second.rows, second.superseded, second.row_count) == (2, 1, 3)
    assert second.new_columns == ("day", "note")
    assert shop.load().files == 0
    rows = shop.warehouse.rows("select id, price, day, note from raw.orders order by id")
    assert rows == [("a", 1.5, START.date(), ""), ("b", 2.0, None, None), ("c", None, START.date(), None)]


@pytest.mark.parametrize("warehouse", ["ducklake"], indirect=True)
def test_a_ducklake_is_loaded_and_read_without_private_names(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NO_INTERNALS, "1")
    shop.put_orders("1.parquet", {"a": (1, 1.0), "b": (5, 2.0)})
    assert shop.load().row_count == 2
    shop.put_orders("2.parquet", {"a": (2, 1.5)})
    assert shop.load().row_count == 2
    assert shop.warehouse.rows("select id, price from raw.orders order by id") == [("a", 1.5), ("b", 2.0)]


@pytest.mark.parametrize("warehouse", ["postgres", pytest.param("ducklake", marks=pytest.mark.thorough)], indirect=True)
def test_without_a_key_the_rows_of_a_file_replace_those_of_the_file(shop: Shop) -> None:
    shop.put("events/1.csv", b"moment,what,n\n2026-01-01 10:00:00,open,1\n2026-01-01 11:00:00,,\n")
    shop.put("events/2.csv", b"moment,what,n\n2026-01-02 10:00:00,open,3\n")
    assert shop.load(EVENTS).row_count == 3
    shop.put("events/1.csv", b"moment,what,n\n2026-01-01 10:00:00,closed,1\n", minute=1)
    assert shop.load(EVENTS).row_count == 2
    rows = shop.warehouse.rows("select what, n from raw.events order by moment")
    assert rows == [("closed", 1), ("open", 3)]
    shop.put("events/1.csv", b"moment,what,n\n", minute=2)
    assert shop.load(EVENTS).row_count == 1


def test_a_type_is_widened_and_a_renamed_file_keeps_its_rows(shop: Shop) -> None:
    shop.put("events/1.csv", b"what,n\nopen,10\n")
    shop.load(EVENTS)
    shop.put("events/2.csv", b"what,n\nclose,10.5\n", 1)
    (shop.folder / "events/1.csv").rename(shop.folder / "events/3.csv")
    report = shop.load(EVENTS)
    assert (report.files, report.renamed, report.row_count, report.rejected) == (1, 1, 2, ())
    assert len(report.remarks) == 2
    rows = shop.warehouse.rows("select what, n, _landed_file from raw.events order by n")
    assert rows == [("open", 10.0, "events/3.csv"), ("close", 10.5, "events/2.csv")]
    assert (shop.load(EVENTS).files, shop.load(EVENTS).renamed) == (0, 0)


def test_a_decimal_is_widened_and_not_rounded(shop: Shop) -> None:
    for number, (value, precision, scale) in enumerate([("1.25", 10, 2), ("1.2367", 18, 4), ("12345678901.5", 12, 1)]):
        shop.put_orders(
            f"{number}.parquet", {str(number): (1, 1.0)}, v=pa.array([Decimal(value)], pa.decimal128(precision, scale))
        )
        assert shop.load().rejected == ()
    rows = shop.warehouse.rows("select v from raw.orders order by id")
    assert rows == [(Decimal("1.25"),), (Decimal("1.2367"),), (Decimal("12345678901.5"),)]


def test_a_corrected_file_replaces_its_rows_by_key(shop: Shop) -> None:
    shop.put_orders("1.parquet", {"a": (5, 1.0), "b": (5, 2.0)})
    shop.put_orders("2.parquet", {"c": (9, 3.0)})
    shop.load()
    shop.put_orders("1.parquet", {"a": (3, 1.5)}, more=["x"])
    assert shop.load().removed == 1
    assert shop.warehouse.rows("select id, price from raw.orders order by id") == [("a", 1.5), ("c", 3.0)]


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_a_column_that_a_view_reads_is_not_widened_in_postgresql(shop: Shop, servers: Servers) -> None:
    shop.put("events/1.csv", b"what,n\nopen,10\n")
    shop.load(EVENTS)
    servers.execute("create view raw.stg_events as select n from raw.events")
    shop.put("events/2.csv", b"what,n\nopen,10.5\n", 1)
    [rejected] = shop.load(EVENTS).rejected
    assert "stg_events" in str(rejected.reason)
    servers.execute("drop view raw.stg_events")
    (shop.folder / str(rejected.moved_to)).rename(shop.folder / "events/2.csv")
    assert shop.load(EVENTS).row_count == 2


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_rows_that_postgresql_refuses_reject_their_file_alone(shop: Shop) -> None:
    things = LandedTable("source.p.shop.things", "shop", "things", "raw", "things", "things/*", "jsonl", ("id",))
    contents = {
        "0": b'{"id": 0, "a": "x"}',
        "nul": b'{"id": 1, "a": "x\\u0000y"}',
        "nul beside empty text": b'{"id": 2, "a": "", "b": "\\u0000"}',
        "nul in a name": b'{"id": 3, "a\\u0000": 1}',
        "many columns": json.dumps({"id": 4, **{f"c{number}": 1 for number in range(1_700)}}).encode(),
        "last": b'{"id": 5, "a": "z"}',
    }
    for number, (name, content) in enumerate(contents.items()):
        shop.put(f"things/{name}", content, number)
        if name == "0":
            shop.load(things)
    report = shop.load(things)
    reasons = {entry.file.path.removeprefix("things/"): str(entry.reason) for entry in report.rejected}
    assert set(reasons) == {"nul", "nul beside empty text", "many columns"}, reasons
    assert all("the warehouse refuses its rows" in reason for reason in reasons.values())
    assert shop.warehouse.rows("select id from raw.things order by id") == [(0,), (3,), (5,)]


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_postgresql_distinguishes_the_case_of_schemas(shop: Shop, servers: Servers) -> None:
    shop.put("events/1.csv", b"what,n\nopen,1\n")
    for schema in ("raw", "RAW"):
        assert shop.load(replace(EVENTS, schema=schema)).row_count == 1
    for schema in ("RAW", "_dlt_staging_RAW"):
        servers.execute(f'drop schema "{schema}" cascade')


def test_a_malformed_file_is_recorded_in_the_ledger(shop: Shop) -> None:
    shop.put("orders/1.parquet", b"no parquet")
    shop.put_orders("2.parquet", {"a": (1, 1.0)})
    assert len(shop.load().rejected) == 1
    assert len(shop.load().malformed) == 1


# --- reading and writing ------------------------------------------------------------------------------------


def test_a_written_table_is_read_back_and_replaced_completely(warehouse: Warehouse) -> None:
    table = Table("consumers", "segments")
    frame = pd.DataFrame(
        {
            "name": ["a", "", None],
            "count": pd.array([1, 2, 3], "int32"),
            "revenue": pd.Series([1.5, 2.25, None], dtype=pd.ArrowDtype(pa.decimal128(16, 2))),
            "seen": pd.Series([START.date()] * 3, dtype=pd.ArrowDtype(pa.date32())),
            "good": [True, False, True],
        }
    )
    assert warehouse.replace(table, frame) == 3
    assert warehouse.replace(table, frame) == 3
    query = "select * from consumers.segments order by count"
    assert [row[0] for row in warehouse.rows(query)] == ["a", "", None]
    read = warehouse.read(query)
    assert [column.kind for column in read.dtypes[["count", "revenue", "seen", "good"]]] == ["i", "f", "M", "b"]
    assert read["revenue"].tolist()[:2] == [1.5, 2.25]
    assert warehouse.replace(table, pd.DataFrame({"other": [1]})) == 1
    assert warehouse.rows("select * from consumers.segments") == [(1,)]


def test_a_reader_can_not_write(warehouse: Warehouse) -> None:
    warehouse.replace(Table("consumers", "t"), pd.DataFrame({"n": [1]}))
    with pytest.raises(Exception, match=r"(?i)read-only"):
        warehouse.rows("delete from consumers.t")


def test_the_fields_of_the_resource_have_no_secret(servers: Servers, warehouse: Warehouse) -> None:
    kept = repr(warehouse) + str(warehouse.model_dump())
    assert servers.postgres.password not in kept
    assert servers.s3.secret not in kept


# --- unreachable servers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "variable", "value", "message", "remedy", "kind"),
    [
        ("prod", "ANALYTICS_POSTGRES_PORT", "1", "onnection refused", "server runs", FailureKind.CONNECTION),
        ("prod", "ANALYTICS_POSTGRES_PASSWORD", "wr0ng!", "authentication failed", "password", FailureKind.PERMISSION),
        ("prod", "ANALYTICS_POSTGRES_DBNAME", "none", "does not exist", "Create it", FailureKind.SQL),
        ("ducklake", "ANALYTICS_POSTGRES_PORT", "1", "onnection refused", "catalog", FailureKind.CONNECTION),
        (
            "ducklake",
            "ANALYTICS_POSTGRES_PASSWORD",
            "wr0ng!",
            "authentication failed",
            "password",
            FailureKind.PERMISSION,
        ),
        ("ducklake", "ANALYTICS_LAKE_DATA_PATH", "s3://no-such-bucket/lake", "no-such-bucket", "bucket", None),
        ("ducklake", "AWS_SECRET_ACCESS_KEY", "wr0ng!", "403", "Correct the key", FailureKind.PERMISSION),
        ("ducklake", "AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1", "127.0.0.1:1", "", FailureKind.CONNECTION),
    ],
)
def test_an_unreachable_server_is_an_error_with_the_remedy(  # noqa: PLR0913, PLR0917 - a table of cases
    servers: Servers,
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    variable: str,
    value: str,
    message: str,
    remedy: str,
    kind: FailureKind | None,
) -> None:
    for name, real in {**servers.environment, variable: value}.items():
        monkeypatch.setenv(name, real)
    monkeypatch.setenv("ANALYTICS_LAKE_CATALOG_SCHEMA", "out_of_reach")
    with pytest.raises(WarehouseError) as raised:
        opened(target).replace(Table("consumers", "t"), pd.DataFrame({"n": [1]}))
    text = str(raised.value)
    assert message in text
    assert remedy in raised.value.remedy
    assert "wr0ng!" not in text
    assert servers.postgres.password not in text
    assert kind is None or classify(text) is kind
    servers.execute("drop schema if exists out_of_reach cascade")


@pytest.mark.parametrize("warehouse", ["ducklake"], indirect=True)
def test_a_catalog_of_another_version_is_an_error_with_the_remedy(servers: Servers, warehouse: Warehouse) -> None:
    warehouse.replace(Table("consumers", "t"), pd.DataFrame({"n": [1]}))
    schema = os.environ["ANALYTICS_LAKE_CATALOG_SCHEMA"]
    servers.execute(f"update \"{schema}\".ducklake_metadata set value = '0.1' where key = 'version'")  # noqa: S608
    with pytest.raises(WarehouseError, match="version") as raised:
        warehouse.rows("select 1")
    assert "automatic_migration" in raised.value.remedy


@pytest.mark.parametrize("warehouse", ["ducklake"], indirect=True)
def test_reading_a_ducklake_before_the_first_write_is_an_error(warehouse: Warehouse) -> None:
    with pytest.raises(NoWarehouseYetError, match="does not exist yet"):
        warehouse.rows("select 1")


# --- the maintenance of a DuckLake -------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("warehouse", ["ducklake"], indirect=True)
def test_maintenance_keeps_current_rows_and_deletes_old_files(warehouse: Warehouse) -> None:
    settings = Settings(dbt_project_dir=PROJECT, dbt_target="ducklake")
    definitions = dg.Definitions.merge(
        dg.Definitions(resources={"warehouse": warehouse}),
        build_lake_maintenance(settings, load_target(find_project(settings))),
    )
    job = definitions.resolve_job_def(JOB)
    assert job.execute_in_process().success, "with nothing there yet"
    table = Table("consumers", "t")
    for number in range(5):
        warehouse.replace(table, pd.DataFrame({"n": range(number, number + 1000)}))
    config = {"ops": {JOB: {"config": {"snapshot_days": 0, "file_hours": 0}}}}
    assert job.execute_in_process(run_config=config).success
    assert job.execute_in_process(run_config=config).success
    assert warehouse.rows("select count(*), min(n) from consumers.t") == [(1000, 4)]
    assert warehouse.rows("select count(*) from ducklake_snapshots('lake')") == [(1,)]
    files = warehouse.rows(f"select count(*) from glob('{os.environ['ANALYTICS_LAKE_DATA_PATH']}/**')")  # noqa: S608
    assert files == warehouse.rows("select sum(file_count) from ducklake_table_info('lake')")


def test_only_a_ducklake_has_the_maintenance_job() -> None:
    settings = Settings(dbt_project_dir=PROJECT)
    target = load_target(find_project(settings))
    assert kind_of(target) is Kind.FILE
    assert not build_lake_maintenance(settings, target).jobs
