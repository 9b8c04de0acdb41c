"""Dead runs are found and marked as failed, and no run is called dead while its process may run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from analytics_dagster.cli.home import prepare_home
from analytics_dagster.dagster_internals.runs import executes_all_runs_here
from analytics_dagster.execution import dead_runs
from analytics_dagster.execution.dead_runs import DeadRun, LivenessResult, RunOwner, check_liveness, combine
from analytics_dagster.planning.groups import PROJECT_TAG
from analytics_dagster.process_identity import (
    PROCESS_TAG,
    Liveness,
    Process,
    child_tags,
    process_tags,
)
from analytics_dagster.settings import Settings

pytestmark = pytest.mark.slow

Start = Callable[[], subprocess.Popen[bytes]]
ALIVE, DEAD, UNKNOWN = Liveness.ALIVE, Liveness.DEAD, Liveness.UNKNOWN
STATUS = dg.DagsterRunStatus
JOB = dg.GraphDefinition("job", node_defs=[]).to_job()
ORIGIN = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("location"), "repository"), "job")


def fail_dead_runs(instance: dg.DagsterInstance, run_ids: list[str] | None = None) -> list[DeadRun]:
    """Judge the runs of the project "shop", and those of the location of `ORIGIN`."""
    return dead_runs.fail_dead_runs(instance, RunOwner("shop", "location"), run_ids)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start processes that only sleep, and kill them after the test."""
    with ExitStack() as stack:

        def sleeper() -> subprocess.Popen[bytes]:
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"]))
            stack.callback(process.kill)
            return process

        yield sleeper


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def local(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def of(process: subprocess.Popen[bytes]) -> Process:
    found = Process.of(process.pid)
    assert found is not None
    return found


def gone() -> Process:
    """Return a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"]) as process:
        found = of(process)
        process.kill()
    return found


def make_run(
    instance: dg.DagsterInstance,
    process: Process | None = None,
    *,
    status: dg.DagsterRunStatus = STATUS.STARTED,
    child: Process | None = None,
) -> dg.DagsterRun:
    run = instance.create_run_for_job(
        JOB, status=status, tags={PROJECT_TAG: "shop"}, remote_job_origin=ORIGIN if status is STATUS.QUEUED else None
    )
    if process is not None:
        own = process_tags(run.run_id)[PROCESS_TAG]
        instance.add_run_tags(run.run_id, {PROCESS_TAG: own.replace(Process.current().to_text(), process.to_text())})
    if child is not None:
        instance.add_run_tags(run.run_id, child_tags(run.run_id, child))
    return now(instance, run)


def now(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found


def claim(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    storage = instance.event_log_storage
    if not storage.get_pool_limits():
        storage.set_concurrency_slots("pool", 1)
    return bool(storage.claim_concurrency_slot("pool", run.run_id, "step").is_claimed)


# --- a run --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lives", "expected"),
    [
        ([ALIVE], ALIVE),
        ([DEAD], DEAD),
        ([UNKNOWN], UNKNOWN),
        ([DEAD, ALIVE], ALIVE),
        ([UNKNOWN, DEAD], DEAD),
        ([UNKNOWN, ALIVE], ALIVE),
        ([DEAD, UNKNOWN, ALIVE], ALIVE),
        ([], UNKNOWN),
    ],
)
def test_alive_outweighs_dead_and_dead_outweighs_unknown(lives: list[Liveness], expected: Liveness) -> None:
    assert combine([LivenessResult(life, life.value) for life in lives]).liveness is expected


def test_a_run_is_alive_as_long_as_its_process(instance: dg.DagsterInstance, start: Start) -> None:
    process = start()
    run = make_run(instance, of(process))
    assert check_liveness(instance, run) == LivenessResult(ALIVE, f"{of(process)} executes it")
    process.kill()
    process.wait()
    finding = check_liveness(instance, run)
    assert finding.liveness is DEAD
    assert f"process {process.pid}" in finding.reason


def test_a_run_is_alive_until_its_dbt_process_ends(instance: dg.DagsterInstance, start: Start) -> None:
    dbt = start()
    run = make_run(instance, gone(), child=of(dbt))
    assert fail_dead_runs(instance) == []
    assert check_liveness(instance, run).reason == f"its dbt, {of(dbt)}, is still running"
    dbt.kill()
    dbt.wait()
    assert [dead.run_id for dead in fail_dead_runs(instance)] == [run.run_id]


def test_a_re_execution_with_its_parents_tags_is_not_dead(instance: dg.DagsterInstance) -> None:
    parent = make_run(instance, gone())
    run = instance.create_run_for_job(JOB, status=STATUS.STARTING, tags=dict(parent.tags))
    assert check_liveness(instance, run).liveness is UNKNOWN


@pytest.mark.parametrize("status", [STATUS.NOT_STARTED, STATUS.STARTING, STATUS.STARTED, STATUS.CANCELING])
def test_a_run_without_a_process_is_left_alone(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> None:
    run = make_run(instance, status=status)
    assert fail_dead_runs(instance) == []
    assert now(instance, run).status is status


def test_dagsters_events_name_the_process_if_no_tag_does(local: dg.DagsterInstance, start: Start) -> None:
    instance, run, process = local, make_run(local), start()
    instance.report_engine_event("Started", run, EngineEventData.in_process(gone().pid))
    instance.report_engine_event("Executing", run, EngineEventData.multiprocess(process.pid))
    instance.report_engine_event("Something without a process", run)
    assert check_liveness(instance, run) == LivenessResult(ALIVE, f"process {process.pid} executes it")
    process.kill()
    process.wait()
    finding = check_liveness(instance, run)
    assert finding.liveness is DEAD
    assert str(process.pid) in finding.reason


def test_a_process_that_started_after_the_event_is_another_one(
    local: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(local)
    local.report_engine_event("Started", run, EngineEventData.in_process(os.getpid()))
    assert check_liveness(local, run).liveness is ALIVE
    monkeypatch.setattr(dead_runs, "_EVENT_TOLERANCE", -1e9)
    assert check_liveness(local, run).liveness is DEAD


def test_events_are_ignored_if_runs_may_be_executed_elsewhere(instance: dg.DagsterInstance) -> None:
    assert not executes_all_runs_here(instance)
    run = make_run(instance)
    instance.report_engine_event("Started", run, EngineEventData.in_process(gone().pid))
    assert check_liveness(instance, run).liveness is UNKNOWN


def test_runs_of_a_sqlite_home_are_executed_here(
    local: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert executes_all_runs_here(local)
    monkeypatch.setenv("DAGSTER_HOME", "put back when the test has ended")
    prepare_home(Settings(dagster_home=tmp_path / "home"))
    with dg.DagsterInstance.get() as ours:
        assert executes_all_runs_here(ours)


class LauncherWithHealthCheck(dg.DefaultRunLauncher):
    """A launcher with a health check, like those of Docker and Kubernetes."""

    def __init__(self, health: CheckRunHealthResult | Exception) -> None:
        super().__init__()
        self._health = health

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Return True."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return or raise the configured result."""
        assert run.run_id
        if isinstance(self._health, Exception):
            raise self._health
        return self._health


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        (CheckRunHealthResult(WorkerStatus.RUNNING), ALIVE),
        (CheckRunHealthResult(WorkerStatus.FAILED, "OOMKilled"), DEAD),
        (CheckRunHealthResult(WorkerStatus.NOT_FOUND), DEAD),
        (CheckRunHealthResult(WorkerStatus.FAILED, transient=True), UNKNOWN),
        (CheckRunHealthResult(WorkerStatus.SUCCESS), UNKNOWN),
        (CheckRunHealthResult(WorkerStatus.UNKNOWN), UNKNOWN),
        (PermissionError("jobs is forbidden"), UNKNOWN),
    ],
)
def test_the_launcher_decides_about_a_run_on_another_machine(
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    health: CheckRunHealthResult | Exception,
    expected: Liveness,
) -> None:
    monkeypatch.setattr(instance, "_run_launcher", LauncherWithHealthCheck(health))
    run = instance.create_run_for_job(JOB, status=STATUS.STARTED, remote_job_origin=ORIGIN)
    elsewhere = replace(Process.current(), host="a-pod")
    instance.add_run_tags(run.run_id, {PROCESS_TAG: f"{elsewhere.to_text()} of run {run.run_id}"})
    assert check_liveness(instance, now(instance, run)).liveness is expected
    # A run that is starting or canceling may have no pod, and a run of the command line never has one.
    for status, origin in ((STATUS.STARTING, ORIGIN), (STATUS.CANCELING, ORIGIN), (STATUS.STARTED, None)):
        another = instance.create_run_for_job(JOB, status=status, remote_job_origin=origin)
        assert check_liveness(instance, another).liveness is UNKNOWN


# --- marking dead runs --------------------------------------------------------------------------------------


def test_a_dead_run_is_marked_as_failed_once_and_its_slot_is_freed(
    instance: dg.DagsterInstance,
) -> None:
    dead, waiting = make_run(instance, gone()), make_run(instance, Process.current())
    assert claim(instance, dead)
    assert not claim(instance, waiting)
    [found] = fail_dead_runs(instance)
    assert (found.run_id, found.job) == (dead.run_id, "job")
    assert now(instance, dead).status is STATUS.FAILURE
    [failure] = instance.all_logs(dead.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert failure.dagster_event is not None
    assert failure.dagster_event.message == f"The run was cut off: {found.reason}."
    assert claim(instance, waiting)
    assert now(instance, waiting).status is STATUS.STARTED
    assert fail_dead_runs(instance) == []


def test_a_dead_run_that_was_being_canceled_is_canceled(instance: dg.DagsterInstance) -> None:
    run = make_run(instance, gone(), status=STATUS.CANCELING)
    assert len(fail_dead_runs(instance)) == 1
    assert now(instance, run).status is STATUS.CANCELED


def test_a_queued_run_is_left_alone(instance: dg.DagsterInstance) -> None:
    run = make_run(instance, gone(), status=STATUS.QUEUED)
    assert fail_dead_runs(instance) == []
    assert now(instance, run).status is STATUS.QUEUED


def test_only_the_given_runs_are_checked(instance: dg.DagsterInstance) -> None:
    one, other = make_run(instance, gone()), make_run(instance, gone())
    assert fail_dead_runs(instance, []) == []
    assert [dead.run_id for dead in fail_dead_runs(instance, [one.run_id])] == [one.run_id]
    assert now(instance, other).status is STATUS.STARTED


@pytest.mark.parametrize("alive", [False, True])
def test_a_run_marked_from_outside_loses_its_slot_if_its_process_ended(
    local: dg.DagsterInstance, *, alive: bool
) -> None:
    run, waiting = make_run(local, Process.current() if alive else gone()), make_run(local, Process.current())
    assert claim(local, run)
    local.report_run_canceled(run)
    assert not claim(local, waiting)
    assert fail_dead_runs(local, [run.run_id]) == []
    assert claim(local, waiting) is not alive


def test_a_deleted_or_long_finished_run_loses_its_slot(
    local: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted, ended, waiting = make_run(local), make_run(local), make_run(local, Process.current())
    assert claim(local, deleted)
    local.delete_run(deleted.run_id)
    fail_dead_runs(local)
    assert claim(local, ended)
    local.report_run_failed(ended)
    fail_dead_runs(local)
    assert not claim(local, waiting)
    monkeypatch.setattr(dead_runs, "_SLOTS_EXPIRE_AFTER", -1.0)
    fail_dead_runs(local)
    assert claim(local, waiting)


# --- whose runs are judged -------------------------------------------------------------------------------------


def origin(location: str) -> RemoteJobOrigin:
    return RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "repository"), "job")


@pytest.mark.parametrize(
    ("owner", "tags", "location", "expected"),
    [
        # The sensor of a location.
        (RunOwner("shop", "ours"), {PROJECT_TAG: "shop"}, "ours", True),
        (RunOwner("shop", "ours"), {PROJECT_TAG: "shop"}, None, True),
        (RunOwner("shop", "ours"), {PROJECT_TAG: "shop"}, "theirs", False),
        (RunOwner("shop", "ours"), {PROJECT_TAG: "bank"}, None, False),
        (RunOwner("shop", "ours"), {PROJECT_TAG: "bank"}, "ours", False),
        (RunOwner("shop", "ours"), {}, "ours", True),
        (RunOwner("shop", "ours"), {}, "theirs", False),
        (RunOwner("shop", "ours"), {PROCESS_TAG: "x"}, "theirs", False),
        (RunOwner("shop", "ours"), {PROCESS_TAG: "x"}, None, True),
        (RunOwner("shop", "ours"), {}, None, False),
        # The command line does not know the name of the location.
        (RunOwner("shop"), {PROJECT_TAG: "shop"}, "ours", True),
        (RunOwner("shop"), {PROJECT_TAG: "bank"}, "ours", False),
        (RunOwner("shop"), {PROCESS_TAG: "x"}, "ours", True),
        (RunOwner("shop"), {}, "ours", False),
        # A run of "Materialize" that waits for a slot.
        (RunOwner(None, "ours"), {PROJECT_TAG: "shop"}, "ours", True),
        (RunOwner(None, "ours"), {PROJECT_TAG: "shop"}, "theirs", False),
    ],
)
def test_a_run_is_judged_by_its_own_location_only(
    instance: dg.DagsterInstance, owner: RunOwner, tags: dict[str, str], location: str | None, *, expected: bool
) -> None:
    run = instance.create_run_for_job(
        JOB, status=STATUS.STARTED, tags=tags, remote_job_origin=origin(location) if location else None
    )
    assert owner.owns(run) is expected
    if location and PROJECT_TAG in tags:
        assert RunOwner.of(run) == RunOwner(tags[PROJECT_TAG], location)


def test_a_run_of_another_location_is_neither_failed_nor_loses_its_slot(local: dg.DagsterInstance) -> None:
    # Its events name a process of another container, which does not exist here.
    run = local.create_run_for_job(JOB, status=STATUS.STARTED, remote_job_origin=origin("theirs"))
    local.report_engine_event("Executing", run, EngineEventData.multiprocess(gone().pid))
    assert check_liveness(local, run).liveness is DEAD
    assert fail_dead_runs(local) == []
    assert fail_dead_runs(local, [run.run_id]) == []
    assert now(local, run).status is STATUS.STARTED
    ended, waiting = local.create_run_for_job(JOB, remote_job_origin=origin("theirs")), make_run(local)
    local.report_engine_event("Executing", ended, EngineEventData.multiprocess(gone().pid))
    assert claim(local, ended)
    local.report_run_canceled(ended)
    fail_dead_runs(local)
    assert not claim(local, waiting)
    ours = local.create_run_for_job(JOB, status=STATUS.STARTED, remote_job_origin=origin("location"))
    local.report_engine_event("Executing", ours, EngineEventData.multiprocess(gone().pid))
    assert [dead.run_id for dead in fail_dead_runs(local)] == [ours.run_id]


@pytest.mark.parametrize(("minutes", "is_dead"), [(59, False), (61, True)])
def test_a_run_that_was_created_and_never_queued_is_failed_after_an_hour(
    local: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, minutes: int, *, is_dead: bool
) -> None:
    run = make_run(local, status=STATUS.NOT_STARTED)
    executed = make_run(local, Process.current(), status=STATUS.NOT_STARTED)
    started = make_run(local, status=STATUS.STARTING)
    age = dead_runs._QUEUED_WITHIN - timedelta(minutes=minutes)  # as if they were that old
    monkeypatch.setattr(dead_runs, "_QUEUED_WITHIN", age)
    found = fail_dead_runs(local)
    assert [dead.run_id for dead in found] == ([run.run_id] if is_dead else [])
    if is_dead:
        assert "never queued" in found[0].reason
        assert now(local, run).status is STATUS.FAILURE
    assert now(local, executed).status is STATUS.NOT_STARTED
    assert now(local, started).status is STATUS.STARTING
