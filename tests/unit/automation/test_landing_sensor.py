"""Which files a tick of the landing sensor takes for new, and what it asks for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_dagster.automation.landing_sensor import STARTED_BY, Cursor, build_landing_sensor, decide
from analytics_dagster.ingestion.landing import LandedFile, Landing
from analytics_dagster.ingestion.sketch import Difference, Sketch, difference, identify
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


# --- the sketch ---------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.sets(st.integers(0, 2**64 - 1), max_size=300), st.data())
def test_a_sketch_tells_exactly_what_came_and_what_went_or_that_it_can_not_tell(
    before: set[int], data: st.DataObject
) -> None:
    gone = data.draw(st.sets(st.sampled_from(sorted(before)), max_size=20)) if before else set()
    came = data.draw(st.sets(st.integers(0, 2**64 - 1), max_size=20)) - before
    now = frozenset(before - gone | came)
    found = difference(Sketch.from_text(Sketch.of(before).to_text()), now)
    # Two that lie in the same three cells, one pair of a hundred thousand, can't be told apart.
    if found is not None or len(came | gone) == 1:
        assert found == Difference(frozenset(came), frozenset(gone))


def test_of_two_that_lie_in_the_same_cells_a_sketch_says_that_it_can_not_tell() -> None:
    assert difference(Sketch(), frozenset({11139, 707361605956})) is None


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sets(st.integers(0, 60)), st.integers(0, 1000)), max_size=8))
def test_no_file_is_missed_and_none_starts_two_runs(ticks: list[tuple[set[int], int]]) -> None:
    cursor, seen = Cursor(), frozenset[LandedFile]()
    for numbers, _ in ticks:
        files = frozenset(landed(f"f{number}") for number in numbers)
        decision = decide(Cursor.from_text(cursor.to_text()), {"orders": sorted(files)})
        assert bool(decision.tables) == bool(files - seen)
        cursor, seen = decision.cursor, files


def test_80_differences_are_told_apart_in_a_hundred_thousand_files() -> None:
    before = {identify("orders", number) for number in range(100_000)}
    gone, came = set(sorted(before)[:40]), {identify("late", number) for number in range(40)}
    sketch = Sketch.of(before)
    assert sketch.size == 100_000
    assert len(sketch.to_text()) < 4_000
    assert difference(sketch, frozenset(before - gone | came)) == Difference(frozenset(came), frozenset(gone))


def test_too_many_differences_are_none_and_never_a_wrong_answer() -> None:
    before = Sketch.of(identify("a", number) for number in range(5_000))
    assert difference(before, frozenset(identify("b", number) for number in range(5_000))) is None


@pytest.mark.parametrize("text", ["", "x", "eJwDAAAAAAE=", "%%%"])
def test_a_text_that_is_no_sketch_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="no sketch"):
        Sketch.from_text(text)


# --- the decision -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "now", "is_new"),
    [
        ([], [], False),
        ([], many(1), True),
        ([], many(5_000), True),
        (many(3), many(3), False),
        (many(3), many(4), True),
        (many(3), many(2), False),  # a rejected file was set aside
        (many(3), [], False),
        (many(5_000), [], False),
        (many(3), [*many(2), landed("f2", 1)], True),  # changed
        (many(3), [*many(2), landed("f2", size=9)], True),
        (many(3), [*many(2), landed("late", -9_999)], True),  # one came with an old time, one went
        (many(5_000), many(4_950), False),
        (many(5_000), many(3_000, "other"), True),
    ],
)
def test_a_run_is_asked_for_if_and_only_if_a_file_is_new(
    before: list[LandedFile], now: list[LandedFile], *, is_new: bool
) -> None:
    cursor = decide(Cursor(), {"orders": before}).cursor
    assert bool(decide(cursor, {"orders": now}).tables) == is_new


def test_only_the_tables_with_new_files_are_in_the_run() -> None:
    cursor = decide(Cursor(), {"orders": many(2), "items": many(2)}).cursor
    assert decide(cursor, {"orders": many(2), "items": many(3), "tweets": many(1)}).tables == ("items", "tweets")


def test_the_run_key_is_the_same_for_the_same_tick_and_another_for_a_file_put_back() -> None:
    first = decide(Cursor(), {"orders": many(1)})
    assert decide(Cursor(), {"orders": many(1)}).run_key == first.run_key
    gone = decide(first.cursor, {"orders": []})
    back = decide(gone.cursor, {"orders": many(1)})
    assert back.tables == ("orders",)
    assert back.run_key != first.run_key


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", '{"version": 0}', '{"version": 1, "round": 1, "tables": {"a": "?"}}']
)
def test_a_cursor_that_cannot_be_read_has_seen_nothing(text: str | None) -> None:
    assert Cursor.from_text(text) == Cursor()


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


def test_new_files_start_one_run_of_their_tables_and_old_ones_none(
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
    assert not tick(sensor, instance, second.cursor).run_requests


def test_an_unreadable_landing_zone_skips_the_tick_and_keeps_the_cursor(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    result = tick(landing_sensor(tmp_path / "nowhere"), instance, "before")
    assert "does not exist" in str(result.skip_reason)
    assert result.cursor == "before"


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
def test_while_ingestion_goes_new_files_wait(
    tmp_path: Path, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    put(tmp_path, "orders/a.csv")
    job = DEFINITIONS.resolve_job_def("ingestion")
    going = instance.create_run_for_job(job, status=status)
    result = tick(landing_sensor(tmp_path), instance, None)
    assert going.run_id in str(result.skip_reason)
    assert not result.run_requests
    assert result.cursor is None
