"""The landing sensor: what it requests, and when it skips."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import dagster as dg
import pytest

from analytics_dagster.automation import landing_sensor as module
from analytics_dagster.automation.jobs import RETRIES_TAG, STARTED_BY
from analytics_dagster.automation.landing_cursor import LandingCursor
from analytics_dagster.automation.landing_sensor import build_landing_sensor
from analytics_dagster.errors import LandingZoneError
from analytics_dagster.ingestion import Ingestion
from analytics_dagster.ingestion.known_files import KnownFiles, file_ids
from analytics_dagster.ingestion.landing import Landing
from analytics_dagster.ingestion.tables import LandedTable

pytestmark = pytest.mark.slow

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
STOPPED = dg.DefaultSensorStatus.STOPPED
ORDERS = LandedTable("orders", "shop", "orders", "raw", "orders", "orders/*.csv", "csv")
ITEMS = LandedTable("items", "shop", "items", "raw", "items", "items/*.csv", "csv")
KEYS = {"orders": dg.AssetKey(["shop", "orders"]), "items": dg.AssetKey(["shop", "items"])}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as one:
        yield one


@dg.asset(key=KEYS["orders"])
def orders() -> None: ...


@dg.asset(key=KEYS["items"])
def items() -> None: ...


INGESTION = dg.define_asset_job("ingestion", selection=dg.AssetSelection.assets(orders, items))
DEFINITIONS = dg.Definitions(assets=[orders, items], jobs=[INGESTION])


def tick(sensor: dg.SensorDefinition, instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult:
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, repository_def=DEFINITIONS.get_repository_def(), sensor_name=sensor.name
    )
    found = sensor.evaluate_tick(context)
    return (
        dg.SensorResult(run_requests=found.run_requests, skip_reason=found.skip_message or None, cursor=found.cursor)
        if found.run_requests
        else dg.SensorResult(skip_reason=found.skip_message or "none", cursor=found.cursor)
    )


def ingestion(folder: Path) -> Ingestion:
    return Ingestion(dg.Definitions(), (ORDERS, ITEMS), Landing(str(folder)), KEYS, (), "dev")


def landing_sensor(folder: Path) -> dg.SensorDefinition:
    return build_landing_sensor(ingestion(folder), job=INGESTION, default_status=STOPPED)


def load(folder: Path, instance: dg.DagsterInstance, table: LandedTable = ORDERS) -> None:
    """Store what a complete load of a table stores."""
    one = ingestion(folder)
    one.known_files(instance).write(table, KnownFiles(frozenset(file_ids(one.landing.list_files(table)))))


def put(folder: Path, path: str) -> None:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("id\n1\n")
    os.utime(file, (NOON.timestamp(), NOON.timestamp()))


def test_new_files_start_one_run_of_their_tables_and_unchanged_ones_none(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    put(tmp_path, "orders/a.csv")
    put(tmp_path, "orders/b.csv")
    sensor = landing_sensor(tmp_path)
    first = tick(sensor, instance)
    (request,) = first.run_requests or []
    assert request.asset_selection == [KEYS["orders"]]
    assert request.asset_check_keys == [dg.AssetCheckKey(KEYS["orders"], "files_are_readable")]
    assert request.tags[STARTED_BY] == sensor.name
    load(tmp_path, instance)
    second = tick(sensor, instance, first.cursor)
    assert not second.run_requests
    assert f"None of the 2 files in {tmp_path} is new." in str(second.skip_reason)
    (tmp_path / "orders/a.csv").unlink()
    third = tick(sensor, instance, second.cursor)
    assert not third.run_requests
    (tmp_path / "orders/b.csv").unlink()
    assert not tick(sensor, instance, third.cursor).run_requests


def test_a_run_that_did_not_load_its_files_is_requested_again_later(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "orders/a.csv")
    sensor = landing_sensor(tmp_path)
    first = tick(sensor, instance)
    waiting = tick(sensor, instance, first.cursor)
    assert "1 file of shop/orders not loaded after 1 run: the next run starts at " in str(waiting.skip_reason)
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    again = tick(sensor, instance, waiting.cursor)
    assert len(again.run_requests or []) == 1
    load(tmp_path, instance)
    assert LandingCursor.from_text(tick(sensor, instance, again.cursor).cursor).requested == {}


def test_another_target_has_ledgers_of_its_own(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    put(tmp_path, "orders/a.csv")
    load(tmp_path, instance)
    other = Ingestion(dg.Definitions(), (ORDERS, ITEMS), Landing(str(tmp_path)), KEYS, (), "prod")
    assert other.known_files(instance).read([ORDERS]) == {}
    assert list(ingestion(tmp_path).known_files(instance).read([ORDERS, ITEMS])) == ["orders"]


@pytest.mark.parametrize("succeeded", [True, False])
def test_after_an_upgrade_files_of_a_successful_run_start_no_run(
    tmp_path: Path, instance: dg.DagsterInstance, *, succeeded: bool
) -> None:
    put(tmp_path, "orders/a.csv")
    [file] = Landing(str(tmp_path)).list_files(ORDERS)
    line = repr((file.path, file.size, file.modified.timestamp()))
    digest = hashlib.blake2b(line.encode(), digest_size=16).hexdigest()
    cursor = json.dumps({"version": 2, "round": 3, "listings": {"orders": digest}})
    status = dg.DagsterRunStatus.SUCCESS if succeeded else dg.DagsterRunStatus.FAILURE
    tags = {STARTED_BY: "landing_sensor"}
    instance.create_run_for_job(DEFINITIONS.resolve_job_def("ingestion"), status=status, tags=tags)
    sensor = landing_sensor(tmp_path)
    result = tick(sensor, instance, cursor)
    assert bool(result.run_requests) == (not succeeded)
    put(tmp_path, "orders/b.csv")
    assert bool(tick(sensor, instance, result.cursor).run_requests) == succeeded
    assert "landing-4-" in str((result.run_requests or [dg.RunRequest("landing-4-")])[0].run_key)


def test_an_unreadable_landing_zone_skips_ticks_and_fails_them_after_some_minutes(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor, started = landing_sensor(tmp_path / "nowhere"), time.time()
    first = tick(sensor, instance, '{"version": 3, "round": 5, "requested": {}}')
    assert "does not exist" in str(first.skip_reason)
    second = tick(sensor, instance, first.cursor)
    assert (LandingCursor.from_text(second.cursor).round, second.cursor) == (5, first.cursor)
    monkeypatch.setattr(time, "time", lambda: started + 700)
    with pytest.raises(LandingZoneError, match="does not exist"):
        tick(sensor, instance, second.cursor)
    (tmp_path / "nowhere").mkdir()
    assert LandingCursor.from_text(tick(sensor, instance, second.cursor).cursor).unreadable is None


def test_an_unreadable_landing_zone_keeps_the_cursor_of_an_earlier_version(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    cursor = '{"version": 2, "round": 3, "listings": {"orders": "x"}}'
    assert tick(landing_sensor(tmp_path / "nowhere"), instance, cursor).cursor == cursor


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
def test_a_tick_during_an_ingestion_run_is_skipped_and_keeps_the_cursor(
    tmp_path: Path, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    put(tmp_path, "orders/a.csv")
    job = DEFINITIONS.resolve_job_def("ingestion")
    unfinished = instance.create_run_for_job(job, status=status)
    result = tick(landing_sensor(tmp_path), instance, None)
    assert unfinished.run_id in str(result.skip_reason)
    assert not result.run_requests
    assert result.cursor is None


def test_a_run_that_was_never_queued_does_not_stop_the_sensor(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "orders/a.csv")
    instance.create_run_for_job(DEFINITIONS.resolve_job_def("ingestion"), status=dg.DagsterRunStatus.NOT_STARTED)
    assert not tick(landing_sensor(tmp_path), instance).run_requests
    later = time.time() + 1_000
    monkeypatch.setattr(time, "time", lambda: later)
    assert tick(landing_sensor(tmp_path), instance).run_requests


def test_a_tick_is_skipped_while_a_failed_run_will_be_retried(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "orders/a.csv")
    job = DEFINITIONS.resolve_job_def("ingestion")
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.FAILURE, tags={RETRIES_TAG: "2"})
    monkeypatch.setattr(module, "_OVERDUE", time.time() + 60)
    assert "will be retried" in str(tick(landing_sensor(tmp_path), instance).skip_reason)
    monkeypatch.setattr(module, "_OVERDUE", 0.0)
    assert tick(landing_sensor(tmp_path), instance).run_requests
