"""The event log with open connections: it stores the same as the stock storage, and each reads the other's files."""

import importlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import dagster as dg
import pytest
import yaml
from dagster._core.storage.event_log import SqliteEventLogStorage

from analytics_dagster.cli.home import prepare_home
from analytics_dagster.dagster_internals import sqlite_event_log
from analytics_dagster.dagster_internals.guard import NO_INTERNALS
from analytics_dagster.dagster_internals.pooled_sqlite_event_log import PooledSqliteEventLogStorage
from analytics_dagster.settings import Settings
from tests.processes import wait_for

pytestmark = pytest.mark.slow


@dg.asset(check_specs=[dg.AssetCheckSpec("is_fine", asset="table")])
def table() -> Iterator[dg.MaterializeResult[None]]:
    yield dg.MaterializeResult(
        metadata={"dagster/row_count": 3}, check_results=[dg.AssetCheckResult(passed=True, check_name="is_fine")]
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", "replaced below")
    return prepare_home(Settings(dagster_home=tmp_path / "ours"))


def _events(instance: dg.DagsterInstance, run_id: str) -> list[tuple[str, str | None]]:
    entries = instance.all_logs(run_id)
    return [(entry.dagster_event.event_type_value, entry.step_key) for entry in entries if entry.dagster_event]


def test_both_storages_hold_the_same_events_and_read_each_others_files(home: Path, tmp_path: Path) -> None:
    stock_home = tmp_path / "stock"
    stock_home.mkdir()
    (stock_home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    events, runs = [], []
    for folder, kind in ((home, PooledSqliteEventLogStorage), (stock_home, SqliteEventLogStorage)):
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            assert type(instance.event_log_storage) is kind
            run = dg.materialize([table], instance=instance)
            events.append(_events(instance, run.run_id))
            [event] = instance.fetch_materializations(table.key, limit=1).records
            assert event.asset_materialization is not None
            assert event.asset_materialization.metadata["dagster/row_count"].value == 3
            runs.append(run.run_id)
    assert events[0] == events[1]
    configuration = yaml.safe_load((home / "dagster.yaml").read_text())
    del configuration["event_log_storage"]
    (home / "dagster.yaml").write_text(yaml.safe_dump(configuration))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert type(instance.event_log_storage) is SqliteEventLogStorage
        assert _events(instance, runs[0]) == events[0]


def test_the_stock_storage_opens_its_files_through_the_overridden_method(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    connect = PooledSqliteEventLogStorage._connect

    def watched(self: PooledSqliteEventLogStorage, shard: str) -> object:
        opened.append(shard)
        return connect(self, shard)

    monkeypatch.setattr(PooledSqliteEventLogStorage, "_connect", watched)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        run = dg.materialize([table], instance=instance)
    assert opened.count(run.run_id) > 5
    assert opened.count("index") > 5


def test_threads_read_more_runs_than_open_files_without_losing_events(home: Path) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        runs = [dg.materialize([table], instance=instance).run_id for _ in range(10)]
        storage = instance.event_log_storage
        assert isinstance(storage, PooledSqliteEventLogStorage)
        assert len(storage._engines) <= 8
        counts: list[int] = []
        threads = [
            threading.Thread(target=lambda run=run: counts.append(len(instance.all_logs(run)))) for run in runs * 3
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(counts) == 30
        assert len(set(counts)) == 1
        instance.delete_run(runs[0])
        assert instance.all_logs(runs[0]) == []


def _stored(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    return [entry.user_message for entry in instance.all_logs(run_id)]


def _entry(run_id: str, message: str) -> dg.EventLogEntry:
    return dg.EventLogEntry(  # type: ignore[no-untyped-call] # as Dagster declares it
        error_info=None, level=20, user_message=message, run_id=run_id, timestamp=time.time(), step_key=None
    )


def test_a_batch_of_events_is_stored_completely_or_not_at_all(home: Path) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        storage = instance.event_log_storage
        storage.store_event_batch([_entry("run", "one"), _entry("run", "two")])
        assert _stored(instance, "run") == ["one", "two"]
        with pytest.raises(Exception, match="not a EventLogEntry"):
            storage.store_event_batch([_entry("run", "three"), cast("dg.EventLogEntry", None)])
        storage.store_event(_entry("run", "four"))
        assert _stored(instance, "run") == ["one", "two", "four"]


def test_a_watcher_gets_each_event_while_the_run_keeps_its_connection_open(home: Path) -> None:
    told: list[str] = []
    with dg.DagsterInstance.from_config(str(home)) as ui, dg.DagsterInstance.from_config(str(home)) as run:
        run.event_log_storage.store_event(_entry("run", "before"))
        ui.event_log_storage.watch("run", None, lambda entry, _: told.append(entry.user_message))
        for message in ("one", "two"):
            run.event_log_storage.store_event(_entry("run", message))
            wait_for("the watcher has the event", lambda message=message: message in told, 10)  # type: ignore[misc]
    assert told == ["before", "one", "two"]


def test_without_the_private_names_the_stock_storage_is_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        run = dg.materialize([table], instance=instance)
        assert type(instance.event_log_storage) is PooledSqliteEventLogStorage
        events = _events(instance, run.run_id)
    monkeypatch.setenv(NO_INTERNALS, "1")
    try:
        importlib.reload(sqlite_event_log)
        with dg.DagsterInstance.from_config(str(home)) as instance:
            assert type(instance.event_log_storage) is SqliteEventLogStorage
            assert _events(instance, run.run_id) == events
    finally:
        monkeypatch.delenv(NO_INTERNALS)
        importlib.reload(sqlite_event_log)


def test_a_changed_signature_of_the_stock_storage_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SqliteEventLogStorage, "_connect", lambda self, run_id: None)  # noqa: ARG005
    with pytest.raises(TypeError, match="takes self, run_id; expected self, shard"):
        sqlite_event_log._probe()


def test_the_old_module_name_in_existing_homes_gives_the_same_class() -> None:
    from analytics_dagster.headless import event_log

    assert event_log.PooledSqliteEventLogStorage is sqlite_event_log.PooledSqliteEventLogStorage
