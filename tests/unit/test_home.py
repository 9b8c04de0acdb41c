"""Dagster's home: made once and then its owner's; runs whose process was killed are failed, and hold nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest
import yaml

from analytics_dagster.headless.home import fail_orphans, living_process, prepare_home
from analytics_dagster.settings import Settings

WORKER = """
import sys, time
import dagster as dg
from pathlib import Path
from analytics_dagster.headless.home import PROCESS_TAG, living_process

@dg.asset(pool="warehouse")
def slow():
    print("in the step", flush=True)
    time.sleep(120)

with dg.DagsterInstance.get() as instance, living_process(Path(sys.argv[1])) as process:
    job = dg.Definitions([slow], jobs=[dg.define_asset_job("job", "*")]).resolve_job_def("job")
    print("alive", flush=True)
    job.execute_in_process(instance=instance, tags={PROCESS_TAG: process})
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", "put back when the test has ended")
    return prepare_home(Settings(dagster_home=tmp_path / "home"))


def test_the_home_is_made_with_a_configuration_that_lets_one_writer_at_a_time_into_the_warehouse(home: Path) -> None:
    configuration = yaml.safe_load((home / "dagster.yaml").read_text())
    assert configuration["concurrency"]["pools"] == {"default_limit": 1, "granularity": "op"}
    assert os.environ["DAGSTER_HOME"] == str(home)


def test_dagster_takes_the_homes_configuration(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        assert Path(instance.root_directory) == home
        assert not instance.run_retries_enabled


def test_a_configuration_that_was_changed_is_kept(home: Path) -> None:
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    prepare_home(Settings(dagster_home=home))
    assert (home / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"


def test_a_process_that_ends_well_leaves_nothing_behind(home: Path) -> None:
    with living_process(home) as name:
        assert (home / "processes" / name).exists()
    assert list((home / "processes").iterdir()) == []


def wait_until_one_waits(instance: dg.DagsterInstance) -> None:
    deadline = time.monotonic() + 60
    while not instance.event_log_storage.get_concurrency_info("warehouse").pending_step_count:
        assert time.monotonic() < deadline, "nobody waits for the slot"
        time.sleep(0.1)


@pytest.fixture
def workers(home: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Two processes at work on a step of one pool, of which one is in it and the other waits for its slot."""
    with ExitStack() as stack:
        started = []
        for said in (["alive\n", "in the step\n"], ["alive\n"]):
            process = stack.enter_context(
                subprocess.Popen([sys.executable, "-c", WORKER, str(home)], stdout=subprocess.PIPE, text=True)
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            for line in said:
                assert process.stdout.readline() == line
            started.append(process)
        yield started


def test_a_run_whose_process_was_killed_is_failed_and_frees_its_slot_and_a_living_one_is_left_alone(
    home: Path, workers: list[subprocess.Popen[str]]
) -> None:
    in_step, waiting = workers
    with dg.DagsterInstance.get() as instance:
        wait_until_one_waits(instance)
        assert fail_orphans(instance, home) == []
        (killed,) = instance.get_run_records(limit=1, ascending=True)
        in_step.send_signal(signal.SIGKILL)
        in_step.wait()
        assert fail_orphans(instance, home) == [killed.dagster_run.run_id]
        assert fail_orphans(instance, home) == [], "an orphan is failed once"
        run = instance.get_run_by_id(killed.dagster_run.run_id)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.FAILURE
        # The slot is free: the living process, which had waited for it, gets on.
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "in the step\n"
        assert len(list((home / "processes").iterdir())) == 1


def test_a_run_that_the_command_line_did_not_start_is_left_alone(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        job = dg.GraphDefinition("someone_elses", node_defs=[]).to_job()
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        assert fail_orphans(instance, home) == []
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        assert found.status is dg.DagsterRunStatus.STARTED
