"""Loading files into a DuckDB file with dlt and Dagster: every row exactly once, also after kills."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import cast
from uuid import uuid4

import dagster as dg
import duckdb
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.pipeline.pipeline import Pipeline
from filelock import FileLock

from analytics_dagster.automation.landing_cursor import LandingCursor, decide
from analytics_dagster.errors import LandingZoneError, WarehouseError
from analytics_dagster.ingestion.assets import CHECK, build_ingestion_assets
from analytics_dagster.ingestion.known_files import KnownFilesStore, file_ids
from analytics_dagster.ingestion.landing import Landing
from analytics_dagster.ingestion.loading import load_table
from analytics_dagster.ingestion.tables import LandedTable
from tests.integration.landing import EVENTS, LOG, ORDERS, START, Shop

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    (tmp_path / "landing").mkdir()
    return Shop(tmp_path)


# --- rows and their versions --------------------------------------------------------------------------------


def test_late_and_changed_rows_are_loaded_and_an_older_version_never_overwrites_a_newer(shop: Shop) -> None:
    shop.put_orders("2026-01-02.parquet", {"a": (1, 10), "b": (5, 20)}, minute=10)
    first = shop.load()
    assert (first.files, first.rows, first.row_count) == (1, 2, 2)
    assert first.newest_cursor == START + timedelta(hours=5)
    shop.put_orders("2026-01-01.parquet", {"late": (0, 5), "a": (2, 11), "b": (4, 19)}, minute=1)  # older name and time
    second = shop.load()
    assert shop.prices == {"a": 11, "b": 20, "late": 5}
    assert (second.rows, second.superseded) == (2, 1)


def test_a_null_cursor_is_the_oldest(shop: Shop) -> None:
    shop.put_orders("1.parquet", {"a": (None, 1), "b": (3, 1)})
    shop.load()
    shop.put_orders("2.parquet", {"a": (None, 2), "b": (None, 2)})
    shop.load()
    assert shop.prices == {"a": 2, "b": 1}


def test_a_second_load_finds_nothing_and_does_not_import_dlt(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.put_orders("1.parquet", {"a": (1, 1)})
    shop.load()
    monkeypatch.setitem(sys.modules, "dlt", None)
    again = shop.load()
    assert (again.files, again.rows, again.row_count, again.load_ids) == (0, 0, 1, ())


def test_a_file_that_arrives_again_is_not_duplicated(shop: Shop) -> None:
    for minute in range(2):
        shop.put_orders("1.parquet", {"a": (1, 1), "b": (1, 1)}, minute)
        assert shop.load().files == 1
    assert shop.prices == {"a": 1, "b": 1}


def test_without_a_primary_key_the_rows_of_a_file_replace_its_old_rows(shop: Shop) -> None:
    shop.put("events/1.csv", b"what,n\nopen,1\nopen,1\n")
    shop.put("events/2.csv", b"what,n\nclose,2\n")
    shop.load(EVENTS)
    shop.put("events/1.csv", b"what,n\nopen,7\n", minute=1)
    assert shop.load(EVENTS).row_count == 2
    assert shop.query("select what, n from raw.events order by n") == [("close", 2), ("open", 7)]
    shop.put("events/1.csv", b"what,n\n", minute=2)
    assert shop.load(EVENTS).row_count == 1


def test_new_columns_are_added_and_reported_and_a_missing_one_is_null(shop: Shop) -> None:
    shop.put_orders("1.parquet", {"a": (1, 1)})
    shop.load()
    shop.put_orders("2.parquet", {"b": (2, 2)}, tax=[0.5], Note=["hi"])
    assert shop.load().new_columns == ("tax", "note")
    shop.put_orders("3.parquet", {"c": (3, 3)})
    assert shop.load().new_columns == ()
    assert shop.query("select id, tax, note from raw.orders order by id") == [
        ("a", None, None),
        ("b", 0.5, "hi"),
        ("c", None, None),
    ]


def test_types_come_from_hints_then_from_the_table_then_from_the_values(shop: Shop) -> None:
    table = replace(EVENTS, columns={"code": "text", "price": "decimal", "extra": "json"})
    shop.put("events/1.csv", b'code,price,n,at,extra\n1,2.50,1,2026-01-01T00:00:00+01:00,"{""a"": 1}"\n')
    shop.load(table)
    shop.put("events/2.csv", b"code,price,n,at\n2,3,,2026-01-01\n")
    shop.load(table)
    types = dict(
        shop.query(
            "select column_name, data_type from information_schema.columns where table_name = 'events'"
            " and table_schema = 'raw'"
        )
    )
    assert types == {
        "code": "VARCHAR",
        "price": "DECIMAL(38,9)",
        "n": "BIGINT",
        "at": "TIMESTAMP WITH TIME ZONE",
        "extra": "JSON",
        "_landed_file": "VARCHAR",
        "_dlt_load_id": "VARCHAR",
    }
    assert shop.query('select epoch("at")::bigint, n from raw.events order by 1') == [
        (1767222000, 1),
        (1767225600, None),
    ]


def test_a_dropped_table_is_loaded_again_with_the_declared_types(shop: Shop) -> None:
    shop.put("events/1.csv", b"what,n\nopen,1\n")
    shop.load(EVENTS)
    with duckdb.connect(shop.warehouse.path) as connection:
        connection.execute("drop table raw.events")
    shop.put("events/2.csv", b"what,n\nopen,1.5\n")
    assert shop.load(replace(EVENTS, columns={"n": "double"})).row_count == 2
    assert shop.query("select sum(n) from raw.events") == [(2.5,)]


def test_a_manually_dropped_column_is_added_again(shop: Shop) -> None:
    shop.put_orders("1.parquet", {"a": (1, 1)})
    shop.load()
    with duckdb.connect(shop.warehouse.path) as connection:
        connection.execute("alter table raw.orders drop column price")
    shop.put_orders("2.parquet", {"b": (1, 2)})
    shop.load()
    assert shop.query("select id, price from raw.orders order by id") == [("a", None), ("b", 2)]


# --- tables without files -----------------------------------------------------------------------------------


def test_before_the_first_file_the_table_is_created_if_its_columns_are_known(shop: Shop) -> None:
    table = replace(ORDERS, columns={"id": "text", "price": "bigint", "updated_at": "timestamp"})
    assert shop.load(table).row_count == 0
    assert shop.load(table).load_ids == ()
    shop.put_orders("1.parquet", {"a": (1, 1)})
    assert shop.load(table).row_count == 1


def test_before_the_first_file_unknown_columns_are_logged(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    report = shop.load(replace(ORDERS, columns={"id": "text"}, untyped=("price",)))
    assert report.row_count is None
    assert "the type of these columns is unknown: price" in caplog.text
    assert not Path(shop.warehouse.path).exists()


# --- malformed files ----------------------------------------------------------------------------------------


def test_malformed_files_are_quarantined_and_the_others_loaded(shop: Shop) -> None:
    good = shop.put_orders("good.parquet", {"a": (1, 1)})
    shop.put("orders/2026/truncated.parquet", good.read_bytes()[:-20])
    shop.put("orders/empty.parquet", b"")
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"price": [1]}), sink)
    shop.put("orders/keyless.parquet", sink.getvalue().to_pybytes())
    report = shop.load()
    assert shop.prices == {"a": 1}
    assert {entry.file.path for entry in report.rejected} == {
        "orders/2026/truncated.parquet",
        "orders/empty.parquet",
        "orders/keyless.parquet",
    }
    rejected = shop.folder / "landing/_rejected/orders"
    assert (rejected / "2026/truncated.parquet").exists()
    assert "lacks the key column id" in (rejected / "keyless.parquet.reason.txt").read_text()
    assert not (shop.folder / "landing/orders/empty.parquet").exists()
    again = shop.load()
    assert (again.files, len(again.rejected), len(again.malformed)) == (0, 0, 3)  # until they are corrected


def test_a_corrected_file_that_is_put_back_is_loaded(shop: Shop) -> None:
    table = replace(EVENTS, columns={"n": "bigint"})
    shop.put("events/1.csv", b"what,n\nopen,1\n")
    bad = shop.put("events/2.csv", b"what,n\nopen,1.5\n")
    report = shop.load(table)
    assert "column 'n' does not fit its type bigint" in str(report.rejected[0].reason)
    aside = shop.folder / "landing/_rejected/events/2.csv"
    aside.rename(bad)  # with the same size and time
    assert len(shop.load(table).rejected) == 1
    aside.unlink()
    shop.put("events/2.csv", b"what,n\nopen,2\n")
    repaired = shop.load(table)
    assert (repaired.files, repaired.row_count, repaired.malformed) == (1, 2, ())


def test_in_a_read_only_landing_zone_a_malformed_file_is_read_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    shop.put_orders("1.parquet", {"a": (1, 1)})
    bad = shop.put("orders/bad.parquet", b"PAR1")
    monkeypatch.setattr(fsspec.implementations.local.LocalFileSystem, "mv", refuse)
    assert [entry.moved_to for entry in shop.load().rejected] == [None]
    assert bad.exists()
    again = shop.load()
    assert (again.rejected, len(again.malformed)) == ((), 1)


def test_rows_that_the_warehouse_refuses_reject_their_file_alone(shop: Shop) -> None:
    shop.put("events/0.csv", b"what,n\nopen,0\n")
    shop.load(EVENTS)
    with duckdb.connect(shop.warehouse.path) as connection:
        connection.execute("create unique index one on raw.events (n)")
    for number in range(1, 8):
        shop.put(f"events/{number}.csv", f"what,n\nopen,{0 if number in (3, 6) else number}\n".encode(), number)
    report = shop.load(EVENTS)
    assert [entry.file.path for entry in report.rejected] == ["events/3.csv", "events/6.csv"]
    assert "Duplicate key" in str(report.rejected[0].reason)
    assert [n for (n,) in shop.query("select n from raw.events order by n")] == [0, 1, 2, 4, 5, 7]


def test_a_table_that_cannot_be_written_rejects_no_file(shop: Shop) -> None:
    shop.put("events/0.csv", b"what,n\nopen,0\n")
    shop.load(EVENTS)
    with duckdb.connect(shop.warehouse.path) as connection:
        connection.execute("alter table raw.events rename to hidden; create view raw.events as from raw.hidden")
    new = shop.put("events/1.csv", b"what,n\nopen,1\n", 1)
    with pytest.raises(PipelineStepFailed):
        shop.load(EVENTS)
    assert new.exists()


def test_a_file_whose_name_is_not_utf8_is_rejected_and_the_others_are_loaded(shop: Shop) -> None:
    odd = os.fsencode(shop.folder / "landing/events") + b"/\xff.csv"
    shop.put("events/1.csv", b"what,n\nopen,1\n")
    Path(os.fsdecode(odd)).write_bytes(b"what,n\nopen,2\n")
    report = shop.load(EVENTS)
    assert (report.files, report.row_count) == (1, 1)
    assert report.malformed == (("_rejected/events/\\udcff.csv", "its name is not UTF-8 text"),)
    assert (shop.load(EVENTS).rejected, shop.load(EVENTS).malformed) == ((), report.malformed)


def test_a_file_whose_name_is_not_utf8_is_read_once_in_a_read_only_landing_zone(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put("events/1.csv", b"what,n\nopen,1\n")
    Path(os.fsdecode(os.fsencode(shop.folder / "landing/events") + b"/\xff.csv")).write_bytes(b"x")
    monkeypatch.setattr(Landing, "quarantine", lambda *_: False)
    assert shop.load(EVENTS).malformed == (("events/\\udcff.csv", "its name is not UTF-8 text"),)
    assert (shop.load(EVENTS).rejected, shop.load(EVENTS).left) == ((), ())


def test_a_year_that_python_does_not_have_in_the_table_does_not_stop_later_loads(shop: Shop) -> None:
    shop.put_orders("1.parquet", {"a": (1, 1)})
    shop.load()
    with duckdb.connect(shop.warehouse.path) as connection:  # as an earlier version loaded it
        connection.execute("update raw.orders set updated_at = '287168-01-01 00:00:00+00'")
    shop.put_orders("2.parquet", {"b": (1, 1)}, 1)
    report = shop.load()
    assert (report.files, report.row_count) == (1, 2)
    assert str(report.newest_cursor).startswith("287168-01-01")


def test_a_changed_malformed_file_keeps_its_earlier_rows(shop: Shop) -> None:
    shop.put("events/1.csv", b"what,n\nopen,1\n")
    shop.load(EVENTS)
    shop.put("events/1.csv", b"what,n\nopen\n", minute=1)
    assert (len((report := shop.load(EVENTS)).rejected), report.row_count) == (1, 1)


# --- killed -------------------------------------------------------------------------------------------------

SERVER = """
    import os, signal, sys, warnings
    from pathlib import Path
    warnings.simplefilter("ignore")
    sys.path.insert(0, sys.argv[1])
    from tests.integration import landing as this
    from analytics_dagster.ingestion.landing import Landing
    from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
    from dlt.load.load import Load
    from dlt.pipeline.pipeline import Pipeline

    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    def die_at(point):
        if point == "before dlt":
            Pipeline.run = die
        elif point == "before loading":
            Pipeline.load = die
        elif point == "before completing":
            Load.complete_package = die
        elif point == "before moving":
            Landing.quarantine = die
        elif point == "after moving":
            move = Landing.quarantine
            Landing.quarantine = lambda *args: (move(*args), die())
        elif point.startswith("after seconds"):
            signal.setitimer(signal.ITIMER_REAL, float(point.split()[-1]))
        elif point.startswith("statement"):
            left = [int(point.split()[-1])]
            execute = DuckDbSqlClient.execute_query
            def counted(self, *args, **kwargs):
                left[0] -= 1
                if left[0] < 0:
                    die()
                return execute(self, *args, **kwargs)
            DuckDbSqlClient.execute_query = counted

    for line in sys.stdin:
        folder, table, point = line.rstrip().split("|")
        child = os.fork()
        if child == 0:
            die_at(point)
            this.Shop(Path(folder)).load(getattr(this, table))
            die()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Killer:
    """A process with all imports done, which forks a process that loads a table and is killed at some stage."""

    server: subprocess.Popen[str]

    def __call__(self, shop: Shop, table: str, point: str) -> int:
        """Return the signal that killed the process."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(f"{shop.folder}|{table}|{point}\n")
        self.server.stdin.flush()
        return -int(self.server.stdout.readline())


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    command = [sys.executable, "-c", textwrap.dedent(SERVER), str(ROOT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        yield Killer(server)


@pytest.fixture(scope="module")
def first_load(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Return a shop with one loaded file of each table."""
    shop = Shop(tmp_path_factory.mktemp("first_load"))
    shop.put_orders("0.parquet", {"o0": (0, 0), "kept": (99, 99)})
    shop.put("events/0.csv", b"what,n\nopen,0\n")
    shop.load()
    shop.load(EVENTS)
    return shop


def land_more(first_load: Shop, shop: Shop) -> dict[str, int]:
    """Write nine more files of each table and change one; return the expected prices."""
    shutil.copytree(first_load.folder, shop.folder, dirs_exist_ok=True)
    for number in range(1, 10):
        shop.put_orders(f"{number}.parquet", {"o0": (number, number), f"o{number}": (number, number), "kept": (1, 1)})
        shop.put(f"events/{number}.csv", f"what,n\nopen,{number}\n".encode())
    shop.put("events/0.csv", b"what,n\nopen,100\n", minute=1)
    return {"o0": 9, "kept": 99, **{f"o{number}": number for number in range(1, 10)}}


POINTS = ["before dlt", "before loading", *(f"statement {number}" for number in (3, 10, 20, 30)), "before completing"]


@pytest.mark.parametrize("point", [*POINTS, "after loading"])
@pytest.mark.parametrize("table", ["ORDERS", "EVENTS"])
def test_after_a_kill_at_any_stage_a_second_run_loads_every_row_once(
    first_load: Shop, shop: Shop, killer: Killer, table: str, point: str
) -> None:
    prices = land_more(first_load, shop)
    assert killer(shop, table, point) == signal.SIGKILL
    if table == "ORDERS":
        shop.load()
        assert shop.prices == prices
    else:
        shop.load(EVENTS)
        assert sorted(n for (n,) in shop.query("select n from raw.events")) == [*range(1, 10), 100]


@pytest.mark.parametrize("point", [*POINTS, "before moving", "after moving", "after loading"])
def test_after_a_kill_at_any_stage_a_second_run_reports_a_malformed_file(
    first_load: Shop, shop: Shop, killer: Killer, point: str
) -> None:
    land_more(first_load, shop)
    shop.put("events/bad.csv", b"what,n\nopen\n", minute=2)
    assert killer(shop, "EVENTS", point) == signal.SIGKILL
    report = shop.load(EVENTS)
    reason = "it can't be read as csv: CSV parse error: Row #2: Expected 2 columns, got 1: open"
    assert report.malformed == (("_rejected/events/bad.csv", reason),)
    assert report.row_count == 10
    assert not (shop.folder / "landing/events/bad.csv").exists()
    assert shop.load(EVENTS).rejected == ()


def test_a_failed_write_moves_no_file(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    shop.put("events/1.csv", b"what,n\nopen,1\n")
    bad = shop.put("events/2.csv", b"what,n\nopen\n")
    with monkeypatch.context() as broken:
        broken.setattr(Pipeline, "run", fail)
        with pytest.raises(OSError, match="No space left"):
            shop.load(EVENTS)
    assert bad.exists()
    assert [len(one) for one in (shop.load(EVENTS).malformed, shop.load(EVENTS).malformed)] == [1, 1]


def test_a_file_that_an_earlier_version_moved_without_recording_it_is_reported(shop: Shop) -> None:
    shop.put("events/1.csv", b"what,n\nopen,1\n")
    shop.put("_rejected/events/2.csv", b"what,n\nopen\n")
    shop.put("_rejected/events/2.csv.reason.txt", b"events/2.csv: it is broken\n")
    assert shop.load(EVENTS).malformed == (("_rejected/events/2.csv", "it is broken"),)


def test_the_next_load_deletes_what_a_killed_one_left_in_the_temporary_folder(
    first_load: Shop, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_more(first_load, shop)
    temporary = shop.folder / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    command = [sys.executable, "-c", textwrap.dedent(SERVER), str(ROOT)]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert Killer(server)(shop, "ORDERS", "before completing") == signal.SIGKILL
    [left] = temporary.glob("analytics-dlt-*/")
    assert list(left.rglob("*.parquet"))
    in_use = temporary / "analytics-dlt-in-use"
    (temporary / "analytics-dlt-of-an-earlier-version").mkdir()
    os.utime(temporary / "analytics-dlt-of-an-earlier-version", (0, 0))
    (temporary / "analytics-dlt-of-a-running-earlier-version").mkdir()
    with FileLock(f"{in_use}.lock"):
        in_use.mkdir()
        shop.load()
    assert sorted(temporary.glob("analytics-dlt-*/")) == [
        in_use,
        temporary / "analytics-dlt-of-a-running-earlier-version",
    ]


def test_after_kills_at_random_times_every_row_is_loaded_once(first_load: Shop, shop: Shop, killer: Killer) -> None:
    expected = land_more(first_load, shop)
    chance = random.Random(7)  # noqa: S311 - not for secrets
    for _ in range(8):
        killer(shop, "ORDERS", f"after seconds {chance.uniform(0.01, 0.6)}")
    shop.load()
    assert shop.prices == expected


# --- the landing zone and the warehouse ---------------------------------------------------------------------


def test_another_process_that_locks_the_warehouse_is_named(shop: Shop) -> None:
    shop.put_orders("1.parquet", {"a": (1, 1)})
    code = (
        f"import duckdb, time; c = duckdb.connect({shop.warehouse.path!r}); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            with pytest.raises(WarehouseError, match=f"PID {holder.pid}|process {holder.pid}"):
                shop.load()
        finally:
            holder.kill()
    assert shop.load().row_count == 1


def test_a_load_closes_every_connection(shop: Shop) -> None:
    shop.put_orders("1.parquet", {"a": (1, 1)})
    shop.load()
    code = f"import duckdb; duckdb.connect({shop.warehouse.path!r}).execute('create table t as select 1')"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_dlts_telemetry_is_off(shop: Shop) -> None:
    shop.put_orders("1.parquet", {"a": (1, 1)})
    code = f"""
        import sys, warnings
        from pathlib import Path
        warnings.simplefilter("ignore")
        sys.path.insert(0, {str(ROOT)!r})
        from tests.integration import landing as this
        this.Shop(Path({str(shop.folder)!r})).load()
        from dlt.common.runtime import anon_tracker
        assert anon_tracker._ANON_TRACKER_ENDPOINT is None
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_any_fsspec_url_can_be_the_landing_zone(shop: Shop) -> None:
    source = shop.put_orders("1.parquet", {"a": (1, 1)})
    url = f"memory://{uuid4().hex}"
    memory = fsspec.filesystem("memory")
    memory.pipe_file(f"{url}/orders/2026/1.parquet", source.read_bytes())
    memory.pipe_file(f"{url}/orders/2026/2.parquet", b"broken")
    report = load_table(ORDERS, Landing(url), shop.warehouse, LOG)
    assert (report.files, report.row_count) == (1, 1)
    assert memory.exists(f"{url}/_rejected/orders/2026/2.parquet.reason.txt")


def test_an_unreadable_landing_zone_is_an_error_before_the_warehouse_is_opened(shop: Shop) -> None:
    with pytest.raises(LandingZoneError):
        load_table(ORDERS, Landing("s3://bucket"), shop.warehouse, LOG)
    assert not Path(shop.warehouse.path).exists()


# --- through Dagster ----------------------------------------------------------------------------------------


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as one:
        yield one


def materialize(shop: Shop, instance: dg.DagsterInstance, *tables: LandedTable) -> dg.ExecuteInProcessResult:
    specs = {
        table.unique_id: dg.AssetSpec(["shop", table.name], description=table.name, kinds={"source"})
        for table in tables
    }
    return dg.materialize(
        build_ingestion_assets(tables, specs),
        instance=instance,
        resources={"warehouse": shop.warehouse, "landing": shop.landing},
        raise_on_error=False,
    )


def test_each_table_is_an_asset_with_the_result_of_its_load(shop: Shop, instance: dg.DagsterInstance) -> None:
    shop.put_orders("1.parquet", {"a": (1, 1), "b": (2, 2)})
    shop.put("orders/bad.parquet", b"PAR1")
    result = materialize(shop, instance, ORDERS)
    assert result.success
    (materialization,) = result.asset_materializations_for_node("load__shop__orders")
    metadata = {name: entry.value for name, entry in materialization.metadata.items()}
    assert metadata["dagster/row_count"] == metadata["rows_loaded"] == 2
    assert (metadata["files_loaded"], metadata["files_rejected"]) == (1, 1)
    assert len(cast("list[str]", metadata["load_ids"])) == 1
    assert metadata["newest_cursor"] == (START + timedelta(hours=2)).timestamp()
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed, check.severity) == (CHECK, False, dg.AssetCheckSeverity.WARN)
    assert "orders/bad.parquet" in str(check.metadata["files"].value)


def test_a_load_stores_which_files_it_knows_for_the_landing_sensor(
    shop: Shop, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = shop.put("events/0.csv", b"what,n\nopen,1\n")
    closed.chmod(0)
    shop.put("events/1.csv", b"what,n\nopen,1\n")
    shop.put("events/2.csv", b"what,n\nopen\n")
    store = KnownFilesStore(instance.daemon_cursor_storage, shop.landing.url, "")
    refuse_to_open(closed, monkeypatch)
    assert materialize(shop, instance, EVENTS).success
    listed = shop.landing.list_files(EVENTS)
    [known] = store.read([EVENTS]).values()
    assert (known.known, known.left) == (frozenset(file_ids(listed[1:])), frozenset(file_ids(listed[:1])))
    decided = decide(LandingCursor(), {EVENTS.unique_id: listed[1:]}, store.read([EVENTS]), 0.0)
    assert decided.tables == ()
    monkeypatch.setattr(Pipeline, "run", lambda *_, **__: 1 / 0)
    shop.put("events/3.csv", b"what,n\nopen,3\n")
    assert not materialize(shop, instance, EVENTS).success
    assert store.read([EVENTS]) == {EVENTS.unique_id: known}


def refuse_to_open(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Landing.read

    def opened(landing: Landing, path: str) -> bytes:
        if path.endswith(file.name):
            raise PermissionError
        return read(landing, path)

    monkeypatch.setattr(Landing, "read", opened)


def test_a_failed_table_does_not_stop_others(shop: Shop, instance: dg.DagsterInstance) -> None:
    shop.put_orders("1.parquet", {"a": (1, 1)})
    shop.put("events/1.csv", b"what,n\nopen,1\n")
    unknown = replace(EVENTS, columns={"n": "bigint"}, schema="raw.with.dots\0")  # no valid name in any warehouse
    result = materialize(shop, instance, unknown, ORDERS)
    assert not result.success
    assert shop.prices == {"a": 1}


def test_an_unreadable_landing_zone_fails_the_step_with_the_remedy(shop: Shop, instance: dg.DagsterInstance) -> None:
    (shop.folder / "landing").rmdir()
    result = materialize(shop, instance, ORDERS)
    (event,) = result.filter_events(lambda event: event.is_step_failure)
    assert "ANALYTICS_LANDING_URL" in str(event.step_failure_data.user_failure_data)


def test_the_spec_of_the_source_is_kept_and_extended() -> None:
    spec = dg.AssetSpec(["shop", "orders"], owners=["team:data"], kinds={"duckdb"}, metadata={"a": 1}, tags={"t": ""})
    (asset,) = build_ingestion_assets([ORDERS], {ORDERS.unique_id: spec})
    (found,) = asset.specs
    assert (found.key, found.group_name, found.owners) == (spec.key, "ingestion", ["team:data"])
    assert found.kinds == {"duckdb", "dlt", "parquet"}
    assert found.metadata["a"] == 1
    assert asset.op.pool == "warehouse"


# --- speed --------------------------------------------------------------------------------------------------


def test_a_year_of_daily_files_loads_in_seconds_and_a_second_load_is_quick(shop: Shop) -> None:
    for day in range(365):
        shop.put_orders(f"{day:03}.parquet", {f"{day}-{number}": (day, number) for number in range(190)})
    begun = time.monotonic()
    assert shop.load().row_count == 365 * 190
    loaded = time.monotonic()
    assert loaded - begun < 20
    assert shop.load().files == 0
    assert time.monotonic() - loaded < 2
