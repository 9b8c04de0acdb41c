"""The slots of a pool: one holder each, whoever asks when, and nobody forgotten in the line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance.config import PoolGranularity

from analytics_dagster.execution.pool_slots import Slots

pytestmark = pytest.mark.slow

RACER = """
import sys
import dagster as dg
from analytics_dagster.execution.pool_slots import Slots

home, me, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
with dg.DagsterInstance.from_config(home) as instance:
    slots = Slots(instance, me)
    for number in range(rounds):
        print("ready", flush=True)
        sys.stdin.readline()
        slots.ensure(f"key-{number}", 1)
        print(slots.take(f"key-{number}", "step", 0), flush=True)
"""
ROUNDS = 25


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("home"))) as instance:
        yield instance


def test_of_two_processes_that_ask_at_the_same_moment_one_gets_the_slot(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        # Its tables are made.
        assert instance.event_log_storage.get_pool_limits() == []
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path), name, str(ROUNDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "other")
    ]

    def hear(racer: subprocess.Popen[str]) -> str:
        assert racer.stdout is not None
        return racer.stdout.readline().strip()

    winners = []
    for _ in range(ROUNDS):
        assert [hear(racer) for racer in racers] == ["ready", "ready"]
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        winners.append(sorted(hear(racer) for racer in racers))
    for racer in racers:
        racer.communicate(timeout=60)
    assert winners == [["False", "True"]] * ROUNDS


def test_a_slot_that_was_freed_while_a_step_was_on_its_way_into_the_line_is_taken(
    instance: dg.DagsterInstance,
) -> None:
    slots = Slots(instance, "run")
    slots.ensure("missed", 1)
    # What the storage is left with: a step stands in the line, a slot is free, and nobody was told.
    instance.event_log_storage.add_pending_step("missed", "run", "step", 0, should_assign=False)  # type: ignore[attr-defined]
    assert not instance.event_log_storage.claim_concurrency_slot("missed", "run", "step").is_claimed
    assert slots.take("missed", "step", 0)


def test_what_a_step_gives_back_goes_to_the_next_in_the_line_and_first_to_the_most_urgent(
    instance: dg.DagsterInstance,
) -> None:
    holder, early, urgent = (Slots(instance, run) for run in ("holder", "early", "urgent"))
    holder.ensure("line", 1)
    assert holder.take("line", "step", 0)
    assert holder.take("line", "step", 0), "it has it from before"
    assert not early.take("line", "step", 0)
    assert not urgent.take("line", "step", 5)
    assert early.others("line", waiting=False) == {"holder": "step"}
    assert early.others("line", waiting=True) == {"holder": "step", "urgent": "step"}
    holder.free("step")
    assert not early.take("line", "step", 0)
    assert urgent.take("line", "step", 0)
    urgent.free("step")
    assert early.take("line", "step", 0)


def test_a_step_gives_back_its_slots_of_all_keys_and_its_places_in_the_lines(instance: dg.DagsterInstance) -> None:
    one, other = Slots(instance, "gives back"), Slots(instance, "another")
    for key in ("first", "second", "third"):
        one.ensure(key, 1)
    assert one.take("first", "step", 0)
    assert one.take("second", "step", 0)
    assert other.take("third", "step", 0)
    assert not one.take("third", "step", 0)
    one.free("step")
    assert other.take("first", "step", 0)
    assert other.take("second", "step", 0)
    assert other.others("third", waiting=True) == {}


def test_a_limit_that_is_there_is_kept(instance: dg.DagsterInstance) -> None:
    slots = Slots(instance, "run")
    slots.ensure("kept", 3)
    slots.ensure("kept", 1)
    assert slots.is_limited("kept", 1)
    assert limits(instance)["kept"] == (3, False)


def limits(instance: dg.DagsterInstance) -> dict[str, tuple[int, bool]]:
    return {pool.name: (pool.limit, pool.from_default) for pool in instance.event_log_storage.get_pool_limits()}


def test_a_pool_without_a_limit_gets_the_one_that_is_named_and_no_other_pool_does(
    instance: dg.DagsterInstance,
) -> None:
    slots = Slots(instance, "run")
    assert slots.is_limited("named", 4)
    assert not slots.is_limited("free", None)
    assert limits(instance)["named"] == (4, False)
    assert "free" not in limits(instance)


def test_the_default_of_the_instance_comes_first_and_is_followed_when_it_changes(tmp_path: Path) -> None:
    for default in (2, 3):
        (tmp_path / "dagster.yaml").write_text(f"concurrency: {{pools: {{default_limit: {default}}}}}\n")
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            assert Slots(instance, "run").is_limited("pool", 4)
            assert limits(instance)["pool"] == (default, True)


def test_where_dagster_counts_runs_in_the_queue_a_step_claims_nothing_of_the_pool(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("concurrency: {pools: {default_limit: 1, granularity: run}}\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.event_log_storage.get_pool_config().pool_granularity is PoolGranularity.RUN
        assert not Slots(instance, "run").is_limited("pool", 4)


def test_an_ephemeral_instance_counts_nothing(instance: dg.DagsterInstance) -> None:
    assert Slots(instance, "run").are_counted
    with dg.DagsterInstance.ephemeral() as ephemeral:
        assert not Slots(ephemeral, "run").are_counted
