"""The store of pending runs: what it keeps, for how long, under which keys, and in which form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import dagster as dg
import pytest

from analytics_dagster.automation.pending_run_store import (
    SCHEDULED_TIME,
    GroupRecords,
    Outcome,
    PendingRunStore,
    Resolution,
    Trigger,
    TriggerRecord,
    Wait,
)

SIX = datetime(2026, 1, 1, 6, tzinfo=timezone.utc)
TICK, INGESTED = Trigger(SIX), Trigger(SIX, ingestion="i")
NAMES = ["hourly", "nightly"]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as one:
        yield one


def read(instance: dg.DagsterInstance, project: str = "shop") -> PendingRunStore:
    return PendingRunStore(instance.daemon_cursor_storage, project, NAMES)


def record(minute: int, outcome: Outcome = Outcome.PENDING) -> TriggerRecord:
    return TriggerRecord(Trigger(SIX + timedelta(minutes=minute)), outcome, SIX)


def test_stored_records_are_read_unchanged(instance: dg.DagsterInstance) -> None:
    tick = TriggerRecord(TICK, Outcome.PENDING, SIX, (Wait("hourly", (TICK, INGESTED), ("a", "b")),))
    ingested = TriggerRecord(INGESTED, Outcome.JOINED, SIX)
    settled = Resolution(TICK, skipped="why")
    store = read(instance)
    store.record("nightly", tick)
    store.record("nightly", ingested)
    store.resolve("nightly", settled)
    for one in (store, read(instance)):
        assert one["nightly"] == GroupRecords((tick,), (ingested,), (settled,))
        assert one["hourly"] == one["gone"] == GroupRecords()
        assert one["nightly"].find(TICK) == tick
        assert one["nightly"].find(INGESTED) == ingested
        assert one["nightly"].resolution(INGESTED) is None


def test_writers_of_different_keys_do_not_overwrite_each_other(instance: dg.DagsterInstance) -> None:
    schedule, sensor, ingestion = read(instance), read(instance), read(instance)
    schedule.record("nightly", record(0))
    sensor.resolve("nightly", Resolution(TICK))
    ingestion.record("nightly", TriggerRecord(INGESTED, Outcome.PENDING, SIX))
    found = read(instance)["nightly"]
    assert (len(found.ticks), len(found.ingestions), len(found.resolutions)) == (1, 1, 1)


def test_projects_with_groups_of_the_same_name_are_separate(instance: dg.DagsterInstance) -> None:
    read(instance, "shop").record("nightly", record(0))
    assert read(instance, "bank")["nightly"] == GroupRecords()


def test_a_record_of_the_same_trigger_is_replaced_and_the_last_twenty_are_kept(instance: dg.DagsterInstance) -> None:
    store = read(instance)
    for minute in range(30):
        store.record("hourly", record(minute, Outcome.JOINED))
        store.record("hourly", record(minute, Outcome.LAUNCHED))
    ticks = read(instance)["hourly"].ticks
    assert [one.trigger.moment.minute for one in ticks] == list(range(10, 30))
    assert {one.outcome for one in ticks} == {Outcome.LAUNCHED}


def test_a_pending_run_is_kept_however_many_ticks_follow(instance: dg.DagsterInstance) -> None:
    store = read(instance)
    store.record("hourly", record(0))
    for minute in range(1, 50):
        store.record("hourly", record(minute, Outcome.LAUNCHED if minute % 2 else Outcome.JOINED))
    assert read(instance)["hourly"].pending == (record(0),)
    assert len(read(instance)["hourly"].ticks) <= 21


@pytest.mark.parametrize(
    ("records", "resolved", "pending"),
    [
        ([], [], []),
        ([record(0)], [], [record(0)]),
        ([record(0)], [record(0)], []),
        ([record(0), record(1)], [record(0)], [record(1)]),
        # Its run exists, which the sensor finds next.
        ([record(0), record(1, Outcome.LAUNCHED)], [], [record(0)]),
        ([record(0), record(1)], [], [record(0), record(1)]),
        ([record(0), record(1, Outcome.JOINED)], [], [record(0)]),
        ([record(0), record(1, Outcome.JOINED)], [record(0)], []),
        ([record(0, Outcome.LAUNCHED)], [], []),
        ([record(0, Outcome.JOINED)], [], []),  # the record that it joined is no longer kept
    ],
)
def test_a_record_is_pending_until_it_is_resolved_unless_it_joins_another(
    records: list[TriggerRecord], resolved: list[TriggerRecord], pending: list[TriggerRecord]
) -> None:
    found = GroupRecords(ticks=tuple(records), resolutions=tuple(Resolution(one.trigger) for one in resolved))
    assert list(found.pending) == pending


def test_a_tick_that_joined_a_skipped_run_becomes_pending_and_the_next_joins_it(
    instance: dg.DagsterInstance,
) -> None:
    store = read(instance)
    store.record("hourly", record(0))
    store.record("hourly", record(1, Outcome.JOINED))
    store.record("hourly", record(2, Outcome.JOINED))
    assert [one.trigger.moment.minute for one in store["hourly"].ticks] == [0, 2]
    read(instance).resolve("hourly", Resolution(record(0).trigger, skipped="why"))
    assert read(instance)["hourly"].pending == (record(2, Outcome.JOINED),)
    store = read(instance)
    store.record("hourly", record(3, Outcome.JOINED))
    store.record("hourly", record(4, Outcome.JOINED))
    found = read(instance)["hourly"]
    assert found.ticks == (record(0), record(2), record(4, Outcome.JOINED))
    assert found.pending == (record(2),)
    assert found.covering(record(4).trigger) == record(2).trigger


def test_a_tick_and_an_ingestion_can_both_be_pending() -> None:
    ingested = TriggerRecord(INGESTED, Outcome.PENDING, SIX)
    assert GroupRecords(ticks=(record(0),), ingestions=(ingested,)).pending == (record(0), ingested)


def test_a_tick_joins_a_pending_run_after_an_ingestion_and_the_other_way_round() -> None:
    ingested = replace(record(3), trigger=Trigger(SIX + timedelta(minutes=3), "i"))
    joined = record(5, Outcome.JOINED)
    found = GroupRecords(ticks=(joined,), ingestions=(ingested,))
    assert (found.pending, found.covering(joined.trigger)) == ((ingested,), ingested.trigger)
    later = replace(joined, trigger=Trigger(SIX + timedelta(minutes=6), "j"))
    found = GroupRecords(ticks=(record(5),), ingestions=(later,))
    assert (found.pending, found.covering(later.trigger)) == ((record(5),), record(5).trigger)


def test_a_resolution_is_kept_as_long_as_its_record(instance: dg.DagsterInstance) -> None:
    # An ingestion of last week is not pending again, however many ticks were resolved since.
    store = read(instance)
    store.record("nightly", TriggerRecord(INGESTED, Outcome.PENDING, SIX))
    store.resolve("nightly", Resolution(INGESTED, skipped="why"))
    for minute in range(1, 59):
        store.record("nightly", record(minute))
        store.resolve("nightly", Resolution(record(minute).trigger))
    found = read(instance)["nightly"]
    assert found.pending == ()
    assert len(found.resolutions) <= 22


def test_a_tick_that_an_earlier_version_skipped_is_not_pending(instance: dg.DagsterInstance) -> None:
    stored = (
        '[{"trigger":{"moment":"2026-01-01T05:00:00Z","ingestion":null},"answer":"launched","noted":"2026-01-01T05:00:00Z",'
        '"waits":[],"instead":null},{"trigger":{"moment":"2026-01-01T06:00:00Z","ingestion":null},"answer":"skipped",'
        '"noted":"2026-01-01T06:00:00Z","waits":[],"instead":"x"}]'
    )
    instance.daemon_cursor_storage.set_cursor_values({"analytics_dagster/shop/ticks/hourly": stored})
    found = read(instance)["hourly"]
    assert [one.outcome for one in found.ticks] == [Outcome.LAUNCHED, Outcome.JOINED]
    assert found.pending == ()
    assert found.covering(TICK) == Trigger(SIX - timedelta(hours=1))


@pytest.mark.parametrize("value", ["", "{", "[]", '[{"trigger": 1}]', '"x"'])
def test_an_unreadable_value_counts_as_no_records(instance: dg.DagsterInstance, value: str) -> None:
    keys = ("ticks", "ingestions", "settled")
    for key in keys:
        instance.daemon_cursor_storage.set_cursor_values({f"analytics_dagster/shop/{key}/hourly": value})
    assert read(instance)["hourly"] == GroupRecords()


def test_the_tag_of_a_tick_is_dagsters() -> None:
    from dagster._core.storage.tags import SCHEDULED_EXECUTION_TIME_TAG  # the test compares it

    berlin = datetime.fromisoformat("2026-07-01T08:00:00+02:00")
    assert SCHEDULED_TIME == SCHEDULED_EXECUTION_TIME_TAG
    # As the scheduler writes it: `schedule_time.astimezone(utc).isoformat()`.
    assert Trigger(berlin).tags == {SCHEDULED_EXECUTION_TIME_TAG: "2026-07-01T06:00:00+00:00"}
    assert str(Trigger(berlin)) == "the tick of 2026-07-01 06:00 UTC"
