"""Simultaneous runs: equal steps never overlap, a wait is idle and logged, and no signal or kill leaves a slot."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest

from analytics_dagster.execution.executor import EXCLUSIVE
from analytics_dagster.process_identity import PROCESS_TAG, Process
from analytics_dagster.warehouse import POOL
from tests.processes import DagsterHome, open_dagster_home, wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def home(tmp_path: Path) -> Iterator[DagsterHome]:
    with open_dagster_home(tmp_path) as home:
        yield home


# --- simultaneous steps -------------------------------------------------------------------------------------


def test_the_first_step_sets_the_limit_of_the_warehouses_pool(home: DagsterHome) -> None:
    assert home.limits() == {}
    one, other = home.start("one"), home.start("other")
    in_step = wait_for("one of them is in its step", lambda: [worker for worker in (one, other) if worker.is_in_step])
    [waiting] = [worker for worker in (one, other) if worker not in in_step]
    waiting.wait_until_queued()
    assert home.limits() == {POOL: 1, f"{EXCLUSIVE}one": 1, f"{EXCLUSIVE}other": 1}
    in_step[0].finish()
    waiting.wait_until_in_step()
    waiting.finish()
    assert [one.status, other.status] == [dg.DagsterRunStatus.SUCCESS] * 2


def test_a_step_never_overlaps_with_itself_even_if_the_pool_has_slots(home: DagsterHome) -> None:
    first, other = home.start("one", writers=4), home.start("other", writers=4)
    first.wait_until_in_step()
    other.wait_until_in_step()
    second = home.start("one", writers=4)
    second.wait_until_queued()
    other.finish()
    assert not second.is_in_step
    first.finish()
    second.wait_until_in_step()
    second.finish()
    assert home.limits()[POOL] == 4


def test_a_step_of_another_pool_does_not_wait(home: DagsterHome) -> None:
    one = home.start("one")
    one.wait_until_in_step()
    apart, same = home.start("apart"), home.start("apart")
    apart.wait_until_in_step()
    same.wait_until_in_step()


# --- waiting ------------------------------------------------------------------------------------------------


def test_a_waiting_step_logs_the_holder_and_uses_no_cpu(home: DagsterHome) -> None:
    holder = home.start("other")
    holder.wait_until_in_step()
    waiting = home.start("one")
    waiting.wait_until_queued()
    [message] = [line for line in waiting.messages if "waits for" in line]
    where = Process.of(holder.pid)
    assert message == f"one waits for other of run {holder.run_id[:8]} of job_of_other ({where} executes it)"
    time.sleep(2)  # the process has finished its start
    before = psutil.Process(waiting.pid).cpu_times()
    time.sleep(6)
    after = psutil.Process(waiting.pid).cpu_times()
    assert (after.user + after.system) - (before.user + before.system) < 0.6
    started = time.monotonic()
    holder.finish()
    waiting.wait_until_in_step()
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_and_cancels_a_run_of_its_own_process(home: DagsterHome, number: signal.Signals) -> None:
    holder = home.start("other")
    holder.wait_until_in_step()
    waiting = home.start("one")
    waiting.wait_until_queued()
    assert home.holders_and_queue(POOL)[1] == {holder.run_id, waiting.run_id}
    time.sleep(4)  # the pauses between its claims are long by now
    started = time.monotonic()
    waiting.send(number)
    waiting.join()
    assert time.monotonic() - started < 5
    assert waiting.status is dg.DagsterRunStatus.CANCELED
    assert home.holders_and_queue(POOL) == ({holder.run_id}, {holder.run_id})
    assert home.holders_and_queue(f"{EXCLUSIVE}one") == (set(), set())
    assert not waiting.is_in_step


def test_a_signal_fails_a_launched_run_unless_it_was_being_canceled(home: DagsterHome) -> None:
    holder = home.start("other")
    holder.wait_until_in_step()
    canceled, cut_off = home.start("one", launched_here=False), home.start("another", launched_here=False)
    canceled.wait_until_queued()
    cut_off.wait_until_queued()
    run = home.instance.get_run_by_id(canceled.run_id)
    assert run is not None
    assert run.tags[PROCESS_TAG].startswith(f"{canceled.pid}@")
    home.instance.report_run_canceling(run)
    for waiting in (canceled, cut_off):
        waiting.send(signal.SIGINT)
        waiting.join()
    assert canceled.status is dg.DagsterRunStatus.CANCELED
    assert cut_off.status is dg.DagsterRunStatus.FAILURE
    assert home.holders_and_queue(POOL) == ({holder.run_id}, {holder.run_id})


def test_a_signal_in_the_step_frees_its_slots(home: DagsterHome) -> None:
    worker = home.start("one")
    worker.wait_until_in_step()
    assert home.holders_and_queue(POOL)[0] == home.holders_and_queue(f"{EXCLUSIVE}one")[0] == {worker.run_id}
    worker.send(signal.SIGINT)
    worker.join()
    assert worker.status is dg.DagsterRunStatus.CANCELED
    assert home.holders_and_queue(POOL) == home.holders_and_queue(f"{EXCLUSIVE}one") == (set(), set())


# --- killed runs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asset", ["one", "other"])
def test_a_waiting_run_marks_a_killed_holder_as_failed_and_goes_on(home: DagsterHome, asset: str) -> None:
    holder = home.start("one")
    holder.wait_until_in_step()
    waiting = home.start(asset)
    waiting.wait_until_queued()
    holder.process.kill()
    holder.join()
    waiting.wait_until_in_step()
    assert holder.status is dg.DagsterRunStatus.FAILURE
    [message] = [line for line in waiting.messages if "is dead" in line]
    assert f"run {holder.run_id[:8]} of job_of_one is dead: process {holder.pid} on " in message
    waiting.finish()
    assert waiting.status is dg.DagsterRunStatus.SUCCESS


def test_a_run_that_was_killed_in_the_queue_gets_no_slot(home: DagsterHome) -> None:
    holder = home.start("one")
    holder.wait_until_in_step()
    killed = home.start("other")
    killed.wait_until_queued()
    waiting = home.start("another")
    waiting.wait_until_queued()
    killed.send(signal.SIGSTOP)  # a stopped process cannot use a slot that it gets
    holder.finish()
    time.sleep(3)
    assert not waiting.is_in_step, "the run before it in the queue is alive"
    killed.process.kill()
    killed.join()
    waiting.wait_until_in_step()
    assert killed.status is dg.DagsterRunStatus.FAILURE
