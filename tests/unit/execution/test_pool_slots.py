"""Each pool slot has one holder, and no step in the queue is forgotten."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from analytics_dagster.execution.pool_slots import PoolSlots

pytestmark = pytest.mark.slow

CLAIMANT = """
import sys
import dagster as dg
from analytics_dagster.execution.pool_slots import PoolSlots

home, me, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
with dg.DagsterInstance.from_config(home) as instance:
    slots = PoolSlots(instance, me)
    for number in range(rounds):
        print("ready", flush=True)
        sys.stdin.readline()
        slots.ensure_limit(f"key-{number}", 1)
        print(slots.claim(f"key-{number}", "step", 0), flush=True)
"""
ROUNDS = 25


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("home"))) as instance:
        yield instance


def test_one_of_two_simultaneous_processes_gets_the_slot(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        # Creates the tables.
        assert instance.event_log_storage.get_pool_limits() == []
    claimants = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMANT, str(tmp_path), name, str(ROUNDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "other")
    ]

    def read_line(claimant: subprocess.Popen[str]) -> str:
        assert claimant.stdout is not None
        return claimant.stdout.readline().strip()

    winners = []
    for _ in range(ROUNDS):
        assert [read_line(claimant) for claimant in claimants] == ["ready", "ready"]
        for claimant in claimants:
            assert claimant.stdin is not None
            claimant.stdin.write("go\n")
            claimant.stdin.flush()
        winners.append(sorted(read_line(claimant) for claimant in claimants))
    for claimant in claimants:
        claimant.communicate(timeout=60)
    assert winners == [["False", "True"]] * ROUNDS


def test_a_slot_freed_while_a_step_joins_the_queue_is_claimed(
    instance: dg.DagsterInstance,
) -> None:
    slots = PoolSlots(instance, "run")
    slots.ensure_limit("missed", 1)
    # The state that the race leaves: a queued step, and a free slot that is not assigned.
    instance.event_log_storage.add_pending_step("missed", "run", "step", 0, should_assign=False)  # type: ignore[attr-defined]
    assert not instance.event_log_storage.claim_concurrency_slot("missed", "run", "step").is_claimed
    assert slots.claim("missed", "step", 0)


def test_a_freed_slot_goes_to_the_step_with_the_highest_priority(
    instance: dg.DagsterInstance,
) -> None:
    holder, early, urgent = (PoolSlots(instance, run) for run in ("holder", "early", "urgent"))
    holder.ensure_limit("queue", 1)
    assert holder.claim("queue", "step", 0)
    assert holder.claim("queue", "step", 0), "the step holds it already"
    assert not early.claim("queue", "step", 0)
    assert not urgent.claim("queue", "step", 5)
    assert early.other_runs("queue", waiting=False) == {"holder": "step"}
    assert early.other_runs("queue", waiting=True) == {"holder": "step", "urgent": "step"}
    holder.free("step")
    assert not early.claim("queue", "step", 0)
    assert urgent.claim("queue", "step", 0)
    urgent.free("step")
    assert early.claim("queue", "step", 0)


def test_freeing_a_step_frees_all_its_slots_and_queue_entries(instance: dg.DagsterInstance) -> None:
    one, other = PoolSlots(instance, "frees"), PoolSlots(instance, "another")
    for key in ("first", "second", "third"):
        one.ensure_limit(key, 1)
    assert one.claim("first", "step", 0)
    assert one.claim("second", "step", 0)
    assert other.claim("third", "step", 0)
    assert not one.claim("third", "step", 0)
    one.free("step")
    assert other.claim("first", "step", 0)
    assert other.claim("second", "step", 0)
    assert other.other_runs("third", waiting=True) == {}


def test_an_existing_limit_is_kept(instance: dg.DagsterInstance) -> None:
    slots = PoolSlots(instance, "run")
    slots.ensure_limit("kept", 3)
    slots.ensure_limit("kept", 1)
    assert slots.is_limited("kept", 1)
    assert limits(instance)["kept"] == (3, False)


def limits(instance: dg.DagsterInstance) -> dict[str, tuple[int, bool]]:
    return {pool.name: (pool.limit, pool.from_default) for pool in instance.event_log_storage.get_pool_limits()}


def test_only_a_pool_with_a_fallback_limit_gets_one(
    instance: dg.DagsterInstance,
) -> None:
    slots = PoolSlots(instance, "run")
    assert slots.is_limited("named", 4)
    assert not slots.is_limited("free", None)
    assert limits(instance)["named"] == (4, False)
    assert "free" not in limits(instance)


def test_the_default_limit_of_the_instance_wins_and_may_change(tmp_path: Path) -> None:
    for default in (2, 3):
        (tmp_path / "dagster.yaml").write_text(f"concurrency: {{pools: {{default_limit: {default}}}}}\n")
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            assert PoolSlots(instance, "run").is_limited("pool", 4)
            assert limits(instance)["pool"] == (default, True)


def test_a_step_claims_no_slot_if_the_run_queue_enforces_the_limit(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("concurrency: {pools: {default_limit: 1, granularity: run}}\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert not PoolSlots(instance, "run").is_limited("pool", 4)


def test_an_ephemeral_instance_has_no_slots(instance: dg.DagsterInstance) -> None:
    assert PoolSlots(instance, "run").are_supported
    with dg.DagsterInstance.ephemeral() as ephemeral:
        assert not PoolSlots(ephemeral, "run").are_supported
