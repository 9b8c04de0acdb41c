"""When the landing sensor requests a run, for which tables, and what its cursor holds."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_dagster.automation.landing_sensor import STARTED_BY, LandingCursor, build_landing_sensor, decide
from analytics_dagster.ingestion.landing import LandedFile, Landing
from analytics_dagster.ingestion.tables import LandedTable

pytestmark = pytest.mark.slow

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
STOPPED = dg.DefaultSensorStatus.STOPPED
ORDERS = LandedTable("orders", "shop", "orders", "raw", "orders", "orders/*.csv", "csv")
ITEMS = LandedTable("items", "shop", "items", "raw", "items", "items/*.csv", "csv")
KEYS = {"orders": dg.AssetKey(["shop", "orders"]), "items": dg.AssetKey(["shop", "items"])}


def landed(path: str, minute: int = 0, size: int = 1) -> LandedFile:
    return LandedFile(path, size, NOON + timedelta(minutes=minute))


def many(count: int, prefix: str = "f") -> list[LandedFile]:
    return [landed(f"{prefix}{number}") for number in range(count)]


# --- the decision -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "now", "is_requested"),
    [
        ([], [], False),
        ([], many(1), True),
        ([], many(5_000), True),
        (many(3), many(3), False),
        (many(3), list(reversed(many(3))), False),
        (many(3), many(4), True),
        (many(3), many(2), True),  # the ledger finds nothing new
        (many(3), [], False),
        (many(5_000), [], False),
        (many(3), [*many(2), landed("f2", 1)], True),
        (many(3), [*many(2), landed("f2", size=9)], True),
        (many(3), [*many(2), landed("late", -9_999)], True),
        (many(5_000), many(4_950), True),
        (many(5_000), many(3_000, "other"), True),
    ],
)
def test_a_run_is_requested_if_and_only_if_a_table_has_files_and_they_changed(
    before: list[LandedFile], now: list[LandedFile], *, is_requested: bool
) -> None:
    cursor = decide(LandingCursor(), {"orders": before}).cursor
    assert bool(decide(cursor, {"orders": now}).tables) == is_requested


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sets(st.integers(0, 60)), max_size=8))
def test_no_new_file_is_missed_and_unchanged_files_start_no_run(ticks: list[set[int]]) -> None:
    cursor, seen = LandingCursor(), frozenset[LandedFile]()
    for numbers in ticks:
        files = frozenset(landed(f"f{number}") for number in numbers)
        decision = decide(LandingCursor.from_text(cursor.to_text()), {"orders": sorted(files)})
        assert bool(decision.tables) == bool(files and files != seen)
        cursor, seen = decision.cursor, files


def test_the_cursor_of_many_files_is_small() -> None:
    assert len(decide(LandingCursor(), {"orders": many(100_000)}).cursor.to_text()) < 200


def test_only_the_tables_with_new_files_are_in_the_run() -> None:
    cursor = decide(LandingCursor(), {"orders": many(2), "items": many(2)}).cursor
    assert decide(cursor, {"orders": many(2), "items": many(3), "tweets": many(1)}).tables == ("items", "tweets")


def test_the_run_key_repeats_for_the_same_tick_and_differs_for_a_file_put_back() -> None:
    first = decide(LandingCursor(), {"orders": many(1)})
    assert decide(LandingCursor(), {"orders": many(1)}).run_key == first.run_key
    gone = decide(first.cursor, {"orders": []})
    back = decide(gone.cursor, {"orders": many(1)})
    assert back.tables == ("orders",)
    assert back.run_key != first.run_key


@pytest.mark.parametrize(
    "text",
    [None, "", "{", "[]", '{"version": 0}', '{"version": 2, "round": 1}', '{"version": 2, "round": 1, "listings": 3}'],
)
def test_an_unreadable_cursor_counts_as_none(text: str | None) -> None:
    assert LandingCursor.from_text(text) == LandingCursor()


OLD_CURSOR = json.dumps(
    {"version": 1, "round": 7, "tables": {"orders": "eJxjYBgFo2AUjIJRMApGwSgYBaNgFIwCugEAEIAAAQ=="}}
)
"""As the last release stored it: the sketches of the files had no hash."""


def test_an_old_cursor_requests_one_run_of_all_files_with_a_new_run_key() -> None:
    old = LandingCursor.from_text(OLD_CURSOR)
    assert old == LandingCursor(round=7)
    first = decide(old, {"orders": many(3), "items": []})
    assert first.tables == ("orders",)
    assert first.run_key.startswith("landing-8-")
    assert decide(LandingCursor.from_text(first.cursor.to_text()), {"orders": many(3), "items": []}).tables == ()


# --- the sensor ---------------------------------------------------------------------------------------------


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


def landing_sensor(folder: Path) -> dg.SensorDefinition:
    return build_landing_sensor(
        [ORDERS, ITEMS], Landing(str(folder)), job=INGESTION, asset_keys=KEYS, default_status=STOPPED
    )


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
    second = tick(sensor, instance, first.cursor)
    assert not second.run_requests
    (tmp_path / "orders/a.csv").unlink()
    (tmp_path / "orders/b.csv").unlink()
    assert not tick(sensor, instance, second.cursor).run_requests


def test_an_unreadable_landing_zone_skips_the_tick_and_keeps_the_cursor(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    result = tick(landing_sensor(tmp_path / "nowhere"), instance, "before")
    assert "does not exist" in str(result.skip_reason)
    assert result.cursor == "before"


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
