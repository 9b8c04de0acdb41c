"""What is noted of the order between ticks outlives a restart, is kept short, and is told apart by project."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import dagster as dg
import pytest

from analytics_dagster.automation.notes import (
    SCHEDULED_TIME,
    Answer,
    GroupNotes,
    Note,
    Notebook,
    Settlement,
    Trigger,
    Wait,
)

SIX = datetime(2026, 1, 1, 6, tzinfo=timezone.utc)
TICK, INGESTED = Trigger(SIX), Trigger(SIX, ingestion="i")
NAMES = ["hourly", "nightly"]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as one:
        yield one


def read(instance: dg.DagsterInstance, project: str = "shop") -> Notebook:
    return Notebook(instance.daemon_cursor_storage, project, NAMES)


def note(minute: int, answer: Answer = Answer.DUE) -> Note:
    return Note(Trigger(SIX + timedelta(minutes=minute)), answer, SIX)


def test_what_is_written_is_read_again(instance: dg.DagsterInstance) -> None:
    tick = Note(TICK, Answer.DUE, SIX, (Wait("hourly", (TICK, INGESTED), ("a", "b")),))
    ingested = Note(INGESTED, Answer.SKIPPED, SIX, instead="x")
    settled = Settlement(TICK, left_out="why")
    notebook = read(instance)
    notebook.write("nightly", tick)
    notebook.write("nightly", ingested)
    notebook.settle("nightly", settled)
    for one in (notebook, read(instance)):
        assert one["nightly"] == GroupNotes((tick,), (ingested,), (settled,))
        assert one["hourly"] == one["gone"] == GroupNotes()
        assert one["nightly"].of(TICK) == tick
        assert one["nightly"].of(INGESTED) == ingested
        assert one["nightly"].settlement(INGESTED) is None


def test_two_writers_of_different_keys_lose_nothing(instance: dg.DagsterInstance) -> None:
    schedule, sensor, ingestion = read(instance), read(instance), read(instance)
    schedule.write("nightly", note(0))
    sensor.settle("nightly", Settlement(TICK))
    ingestion.write("nightly", Note(INGESTED, Answer.DUE, SIX))
    found = read(instance)["nightly"]
    assert (len(found.ticks), len(found.ingestions), len(found.settled)) == (1, 1, 1)


def test_two_projects_with_groups_of_the_same_name_do_not_mix(instance: dg.DagsterInstance) -> None:
    read(instance, "shop").write("nightly", note(0))
    assert read(instance, "bank")["nightly"] == GroupNotes()


def test_a_note_of_the_same_trigger_is_replaced_and_the_last_twenty_are_kept(instance: dg.DagsterInstance) -> None:
    notebook = read(instance)
    for minute in range(30):
        notebook.write("hourly", note(minute, Answer.SKIPPED))
        notebook.write("hourly", note(minute, Answer.LAUNCHED))
    ticks = read(instance)["hourly"].ticks
    assert [one.trigger.moment.minute for one in ticks] == list(range(10, 30))
    assert {one.answer for one in ticks} == {Answer.LAUNCHED}


def test_what_is_due_is_not_forgotten_however_many_ticks_are_skipped(instance: dg.DagsterInstance) -> None:
    notebook = read(instance)
    notebook.write("hourly", note(0))
    for minute in range(1, 50):
        notebook.write("hourly", note(minute, Answer.SKIPPED if minute % 2 else Answer.JOINED))
    assert read(instance)["hourly"].pending == (note(0),)
    assert len(read(instance)["hourly"].ticks) <= 21


@pytest.mark.parametrize(
    ("notes", "settled", "pending"),
    [
        ([], [], []),
        ([note(0)], [], [note(0)]),
        ([note(0)], [note(0)], []),
        ([note(0), note(1)], [note(0)], [note(1)]),
        ([note(0), note(1, Answer.LAUNCHED)], [], []),
        ([note(0), note(1, Answer.SKIPPED)], [], [note(0)]),
        ([note(0), note(1, Answer.JOINED)], [], [note(0)]),
        ([note(0), note(1, Answer.JOINED)], [note(0)], []),
        ([note(0, Answer.LAUNCHED)], [], []),
        ([note(0, Answer.JOINED)], [], []),  # what it joined is no longer kept: long over
    ],
)
def test_one_tick_at_most_is_due(notes: list[Note], settled: list[Note], pending: list[Note]) -> None:
    found = GroupNotes(ticks=tuple(notes), settled=tuple(Settlement(one.trigger) for one in settled))
    assert list(found.pending) == pending


def test_a_tick_that_joined_one_that_is_left_out_is_due_itself_and_the_next_joins_it(
    instance: dg.DagsterInstance,
) -> None:
    notebook = read(instance)
    notebook.write("hourly", note(0))
    notebook.write("hourly", note(1, Answer.JOINED))
    notebook.write("hourly", note(2, Answer.JOINED))
    assert [one.trigger.moment.minute for one in notebook["hourly"].ticks] == [0, 2]
    read(instance).settle("hourly", Settlement(note(0).trigger, left_out="why"))
    assert read(instance)["hourly"].pending == (note(2, Answer.JOINED),)
    notebook = read(instance)
    notebook.write("hourly", note(3, Answer.JOINED))
    notebook.write("hourly", note(4, Answer.JOINED))
    found = read(instance)["hourly"]
    assert found.ticks == (note(0), note(2), note(4, Answer.JOINED))
    assert found.pending == (note(2),)
    assert found.stand_in(note(4).trigger) == note(2).trigger


def test_a_tick_and_an_ingestion_are_due_side_by_side() -> None:
    ingested = Note(INGESTED, Answer.DUE, SIX)
    assert GroupNotes(ticks=(note(0),), ingestions=(ingested,)).pending == (note(0), ingested)


@pytest.mark.parametrize("value", ["", "{", "[]", '[{"trigger": 1}]', '"x"'])
def test_a_value_that_cannot_be_read_has_noted_nothing(instance: dg.DagsterInstance, value: str) -> None:
    keys = ("ticks", "ingestions", "settled")
    for key in keys:
        instance.daemon_cursor_storage.set_cursor_values({f"analytics_dagster/shop/{key}/hourly": value})
    assert read(instance)["hourly"] == GroupNotes()


def test_a_tick_is_named_as_dagster_names_it() -> None:
    from dagster._core.storage.tags import SCHEDULED_EXECUTION_TIME_TAG  # the name that must not change

    berlin = datetime.fromisoformat("2026-07-01T08:00:00+02:00")
    assert SCHEDULED_TIME == SCHEDULED_EXECUTION_TIME_TAG
    # As the scheduler writes it: `schedule_time.astimezone(utc).isoformat()`.
    assert Trigger(berlin).tags == {SCHEDULED_EXECUTION_TIME_TAG: "2026-07-01T06:00:00+00:00"}
    assert str(Trigger(berlin)) == "the tick of 2026-07-01 06:00 UTC"
