"""A process is identified by more than its pid, and is never called dead while it may run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

import dagster as dg
import pytest

from analytics_dagster.process_identity import PROCESS_TAG, Liveness, Process, is_executed_here, process_tags

pytestmark = pytest.mark.slow

ALIVE, DEAD, UNKNOWN = Liveness.ALIVE, Liveness.DEAD, Liveness.UNKNOWN
JOB = dg.GraphDefinition("job", node_defs=[]).to_job()


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that only sleeps, and kill it after the test."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"]) as process:
        yield process
        process.kill()


def of(process: subprocess.Popen[bytes]) -> Process:
    found = Process.of(process.pid)
    assert found is not None
    return found


def test_a_process_is_alive_until_it_ends(process: subprocess.Popen[bytes]) -> None:
    found = of(process)
    assert found.liveness is ALIVE
    process.kill()
    # It is a zombie until its parent reaps it.
    time.sleep(0.5)
    assert found.liveness is DEAD
    process.wait()
    assert found.liveness is DEAD
    assert Process.of(process.pid) is None


def test_another_process_with_the_same_pid_does_not_match(process: subprocess.Popen[bytes]) -> None:
    found = of(process)
    assert replace(found, started=found.started - 60, uptime=found.uptime - 60).liveness is DEAD


@pytest.mark.parametrize("changed", [{"started": 7200.0}, {"uptime": 7200.0}])
def test_a_changed_clock_does_not_make_a_process_dead(changed: Mapping[str, float]) -> None:
    here = Process.current()
    assert replace(here, **{name: getattr(here, name) + by for name, by in changed.items()}).liveness is ALIVE


def test_the_liveness_of_a_process_on_another_machine_is_unknown() -> None:
    assert replace(Process.current(), host="elsewhere").liveness is UNKNOWN


def test_a_process_survives_a_round_trip_through_text() -> None:
    here = Process.current()
    written = Process.from_text(here.to_text())
    assert written is not None
    assert written.to_text() == here.to_text()
    assert written.liveness is ALIVE
    assert str(written) == f"process {os.getpid()} on {here.host}"


@pytest.mark.parametrize(
    "text", [None, "", "none", "1b2d-44.lock", "12@host", "x@host 1 2", "12@host 1.0 2.0 of run x"]
)
def test_other_text_is_no_process(text: str | None) -> None:
    assert Process.from_text(text) is None


def test_only_the_process_in_its_tag_executes_a_run(process: subprocess.Popen[bytes]) -> None:
    own = Process.current().to_text()
    with dg.DagsterInstance.ephemeral() as instance:
        for text, expected in ((own, True), (of(process).to_text(), False), ("", False)):
            run = instance.create_run_for_job(JOB)
            instance.add_run_tags(run.run_id, {PROCESS_TAG: process_tags(run.run_id)[PROCESS_TAG].replace(own, text)})
            found = instance.get_run_by_id(run.run_id)
            assert found is not None
            assert is_executed_here(found) is expected
