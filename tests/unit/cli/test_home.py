"""Dagster's home: its configuration is updated unless a user changed it, its pool has a limit, and one UI opens it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from analytics_dagster.automation.dead_runs import build_dead_runs_sensor
from analytics_dagster.cli.home import CONFIGURATION, EARLIER, prepare_home, set_pool_limit
from analytics_dagster.cli.home_processes import claim_home
from analytics_dagster.process_identity import PROCESS_TAG, Process
from analytics_dagster.settings import Settings
from analytics_dagster.warehouse import POOL

pytestmark = pytest.mark.slow

# The configuration of an earlier version.
EARLIER_CONFIGURATION = """\
# Dagster's configuration of this home, written once by analytics-dagster; it is yours to change and is kept.
event_log_storage:
  module: analytics_dagster.headless.event_log
  class: PooledSqliteEventLogStorage
  config:
    base_dir: EVENT_LOG
concurrency:
  runs:
    max_concurrent_runs: 4
  pools:
    # One writer at a time: a DuckDB file takes no more.
    default_limit: 1
    granularity: op
run_retries:
  enabled: false
retention:
  schedule:
    purge_after_days: 90
  sensor:
    purge_after_days:
      skipped: 7
      failure: 30
      success: 90
code_servers:
  local_startup_timeout: 300
telemetry:
  enabled: false
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", "restored after the test")
    return prepare_home(Settings(dagster_home=tmp_path / "home"))


@pytest.fixture
def ended() -> Process:
    """Return a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        found = Process.of(process.pid)
    assert found is not None
    return found


# --- the configuration --------------------------------------------------------------------------------------


def test_a_new_home_allows_one_writer_of_the_warehouse(home: Path) -> None:
    configuration = yaml.safe_load((home / "dagster.yaml").read_text())
    assert configuration["concurrency"]["pools"] == {"default_limit": 1, "granularity": "op"}
    assert os.environ["DAGSTER_HOME"] == str(home)


def test_dagster_queues_runs_of_one_group_and_retries_only_on_request(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        assert Path(instance.root_directory) == home
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.tag_concurrency_limits == [
            {"key": "analytics_dagster/schedule_group", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
        ]
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 0
        assert instance.run_monitoring_enabled


def test_the_ui_does_not_ask_for_an_email_address(home: Path) -> None:
    assert home
    with dg.DagsterInstance.get() as instance:
        assert not instance.nux_enabled


def test_a_configuration_changed_by_a_user_is_kept(home: Path) -> None:
    elsewhere = (home / "dagster.yaml").read_text().replace(str(home / "history" / "runs"), "/mnt/large/logs")
    for changed in ("telemetry: {enabled: false}\n", EARLIER_CONFIGURATION.replace("90", "30"), elsewhere):
        (home / "dagster.yaml").write_text(changed)
        prepare_home(Settings(dagster_home=home))
        assert (home / "dagster.yaml").read_text() == changed


def test_an_unchanged_configuration_of_an_earlier_version_is_updated(home: Path) -> None:
    new = (home / "dagster.yaml").read_text()
    place = json.dumps(str(home / "history" / "runs"))
    (home / "dagster.yaml").write_text(EARLIER_CONFIGURATION.replace("EVENT_LOG", place))
    prepare_home(Settings(dagster_home=home))
    assert (home / "dagster.yaml").read_text() == new
    assert place in new


def test_a_moved_home_keeps_its_event_log_inside(home: Path) -> None:
    prepare_home(Settings(dagster_home=home))
    moved = home.with_name("moved")
    home.rename(moved)
    prepare_home(Settings(dagster_home=moved))
    configuration = yaml.safe_load((moved / "dagster.yaml").read_text())
    assert configuration["event_log_storage"]["config"]["base_dir"] == str(moved / "history" / "runs")


def test_a_read_only_home_is_not_changed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write wherever a mount lets it
    (home / "home.lock").unlink()
    (home / "dagster.yaml").write_text(EARLIER_CONFIGURATION)
    assert prepare_home(Settings(dagster_home=home)) == home
    assert (home / "dagster.yaml").read_text() == EARLIER_CONFIGURATION
    assert not (home / "home.lock").exists()


def test_the_current_configuration_is_not_listed_as_an_earlier_one() -> None:
    assert hashlib.sha256(CONFIGURATION.read_bytes()).hexdigest() not in EARLIER


# --- the pool -----------------------------------------------------------------------------------------------


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    assert home.is_dir()
    with dg.DagsterInstance.get() as instance:
        yield instance


def limit(instance: dg.DagsterInstance) -> tuple[int, bool]:
    [pool] = [pool for pool in instance.event_log_storage.get_pool_limits() if pool.name == POOL]
    return pool.limit, pool.from_default


def test_an_existing_pool_limit_is_replaced_only_on_request(
    instance: dg.DagsterInstance,
) -> None:
    set_pool_limit(instance, 4, replace=False)
    assert limit(instance) == (4, False)
    set_pool_limit(instance, 2, replace=False)
    assert limit(instance) == (4, False)
    set_pool_limit(instance, 2, replace=True)
    assert limit(instance) == (2, False)


def test_a_default_pool_limit_is_replaced(instance: dg.DagsterInstance) -> None:
    instance.event_log_storage.initialize_concurrency_limit_to_default(POOL)
    assert limit(instance) == (1, True)
    set_pool_limit(instance, 4, replace=False)
    assert limit(instance) == (4, False)


# --- the lock of the UI ----------------------------------------------------------------------------------------


def test_a_second_ui_of_a_home_is_refused(home: Path) -> None:
    assert claim_home(home) == claim_home(home) == []
    command = (
        "from pathlib import Path; from analytics_dagster.cli.home_processes import claim_home; claim_home(Path({}))"
    )
    second = subprocess.run(
        [sys.executable, "-c", command.format(repr(str(home)))], capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert f"HomeError: Dagster's home {home} is already open" in second.stderr
    assert f"runs as {Process.current()}" in second.stderr
    assert "DAGSTER_HOME" in second.stderr


def test_a_home_whose_ui_was_killed_can_be_opened(home: Path, ended: Process) -> None:
    (home / "dev_process").write_text(ended.to_text())
    claim_home(home)
    assert (home / "dev_process").read_text() == Process.current().to_text()


# --- the sensor ---------------------------------------------------------------------------------------------


def test_the_dead_runs_sensor_fails_dead_runs_and_is_on_by_default(
    instance: dg.DagsterInstance, ended: Process
) -> None:
    sensor = build_dead_runs_sensor("shop")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    context = dg.build_sensor_context(instance)
    nothing = sensor(context)
    assert isinstance(nothing, dg.SkipReason)
    assert nothing.skip_message == "No run is dead."
    job = dg.GraphDefinition("job", node_defs=[]).to_job()
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    instance.add_run_tags(run.run_id, {PROCESS_TAG: f"{ended.to_text()} of run {run.run_id}"})
    found = sensor(context)
    assert isinstance(found, dg.SkipReason)
    assert f"Marked as failed: run {run.run_id} of job ({ended}, which executed it, has ended" in str(
        found.skip_message
    )
    failed = instance.get_run_by_id(run.run_id)
    assert failed is not None
    assert failed.status is dg.DagsterRunStatus.FAILURE
