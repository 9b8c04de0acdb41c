"""Runs side by side: no step meets its own like, waiting is idle and told, and no signal or death leaves a slot."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest

from analytics_dagster.execution.executor import EXCLUSIVE
from analytics_dagster.processes import PROCESS_TAG, Process
from analytics_dagster.warehouse import POOL
from tests.workshop import Workshop, open_workshop, wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    with open_workshop(tmp_path) as workshop:
        yield workshop


# --- who may work at the same time --------------------------------------------------------------------------


def test_the_warehouses_pool_gets_its_limit_from_the_first_step_where_there_is_none(workshop: Workshop) -> None:
    assert workshop.limits() == {}
    one, other = workshop.start("one"), workshop.start("other")
    in_step = wait_for("one of them is in its step", lambda: [worker for worker in (one, other) if worker.is_in])
    [waiting] = [worker for worker in (one, other) if worker not in in_step]
    waiting.get_into_line()
    assert workshop.limits() == {POOL: 1, f"{EXCLUSIVE}one": 1, f"{EXCLUSIVE}other": 1}
    in_step[0].let_go()
    waiting.get_in()
    waiting.let_go()
    assert [one.status, other.status] == [dg.DagsterRunStatus.SUCCESS] * 2


def test_a_step_does_not_meet_its_own_like_even_where_the_pool_has_room(workshop: Workshop) -> None:
    first, other = workshop.start("one", writers=4), workshop.start("other", writers=4)
    first.get_in()
    other.get_in()
    second = workshop.start("one", writers=4)
    second.get_into_line()
    other.let_go()
    assert not second.is_in
    first.let_go()
    second.get_in()
    second.let_go()
    assert workshop.limits()[POOL] == 4


def test_steps_that_must_not_overlap_are_named_together(workshop: Workshop) -> None:
    exclusive = {"one": "group", "other": "group"}
    first = workshop.start("one", writers=4, exclusive=exclusive)
    first.get_in()
    second = workshop.start("other", writers=4, exclusive=exclusive)
    free = workshop.start("another", writers=4, exclusive=exclusive)
    second.get_into_line()
    free.get_in()
    first.let_go()
    second.get_in()


def test_a_step_of_another_pool_waits_for_nobody(workshop: Workshop) -> None:
    one = workshop.start("one")
    one.get_in()
    apart, same = workshop.start("apart"), workshop.start("apart")
    apart.get_in()
    same.get_in()


# --- waiting ------------------------------------------------------------------------------------------------


def test_who_waits_says_for_whom_and_does_nothing_else(workshop: Workshop) -> None:
    holder = workshop.start("other")
    holder.get_in()
    waiting = workshop.start("one")
    waiting.get_into_line()
    [told] = [message for message in waiting.told if "waits for" in message]
    where = Process.of(holder.pid)
    assert told == f"one waits for other of run {holder.run_id[:8]} of job_of_other ({where} executes it)"
    time.sleep(2)  # it has started up
    before = psutil.Process(waiting.pid).cpu_times()
    time.sleep(6)
    after = psutil.Process(waiting.pid).cpu_times()
    assert (after.user + after.system) - (before.user + before.system) < 0.6
    started = time.monotonic()
    holder.let_go()
    waiting.get_in()
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_at_once_and_cancels_a_run_that_its_own_process_made(
    workshop: Workshop, number: signal.Signals
) -> None:
    holder = workshop.start("other")
    holder.get_in()
    waiting = workshop.start("one")
    waiting.get_into_line()
    assert workshop.line(POOL)[1] == {holder.run_id, waiting.run_id}
    time.sleep(4)  # its pauses have grown long
    started = time.monotonic()
    waiting.send(number)
    waiting.join()
    assert time.monotonic() - started < 5
    assert waiting.status is dg.DagsterRunStatus.CANCELED
    assert workshop.line(POOL) == ({holder.run_id}, {holder.run_id})
    assert workshop.line(f"{EXCLUSIVE}one") == (set(), set())
    assert not waiting.is_in


def test_a_run_that_was_launched_is_canceled_by_who_says_so_and_fails_when_nobody_does(workshop: Workshop) -> None:
    holder = workshop.start("other")
    holder.get_in()
    canceled, cut_off = workshop.start("one", made_here=False), workshop.start("another", made_here=False)
    canceled.get_into_line()
    cut_off.get_into_line()
    run = workshop.instance.get_run_by_id(canceled.run_id)
    assert run is not None
    assert run.tags[PROCESS_TAG].startswith(f"{canceled.pid}@")
    workshop.instance.report_run_canceling(run)
    for waiting in (canceled, cut_off):
        waiting.send(signal.SIGINT)
        waiting.join()
    assert canceled.status is dg.DagsterRunStatus.CANCELED
    assert cut_off.status is dg.DagsterRunStatus.FAILURE
    assert workshop.line(POOL) == ({holder.run_id}, {holder.run_id})


def test_a_signal_in_the_step_frees_its_slots(workshop: Workshop) -> None:
    worker = workshop.start("one")
    worker.get_in()
    assert workshop.line(POOL)[0] == workshop.line(f"{EXCLUSIVE}one")[0] == {worker.run_id}
    worker.send(signal.SIGINT)
    worker.join()
    assert worker.status is dg.DagsterRunStatus.CANCELED
    assert workshop.line(POOL) == workshop.line(f"{EXCLUSIVE}one") == (set(), set())


# --- deaths -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asset", ["one", "other"])
def test_who_waits_finds_out_that_the_holder_was_killed_marks_its_run_as_failed_and_goes_on(
    workshop: Workshop, asset: str
) -> None:
    holder = workshop.start("one")
    holder.get_in()
    waiting = workshop.start(asset)
    waiting.get_into_line()
    holder.process.kill()
    holder.join()
    waiting.get_in()
    assert holder.status is dg.DagsterRunStatus.FAILURE
    [told] = [message for message in waiting.told if "is dead" in message]
    assert f"run {holder.run_id[:8]} of job_of_one is dead: process {holder.pid} on " in told
    waiting.let_go()
    assert waiting.status is dg.DagsterRunStatus.SUCCESS


def test_a_slot_is_not_kept_for_one_who_was_killed_in_the_line(workshop: Workshop) -> None:
    holder = workshop.start("one")
    holder.get_in()
    killed = workshop.start("other")
    killed.get_into_line()
    waiting = workshop.start("another")
    waiting.get_into_line()
    killed.send(signal.SIGSTOP)  # it can't take what comes to it
    holder.let_go()
    time.sleep(3)
    assert not waiting.is_in, "the one before it lives"
    killed.process.kill()
    killed.join()
    waiting.get_in()
    assert killed.status is dg.DagsterRunStatus.FAILURE
