"""A code server that dies while a run is taken from the queue does not lose the run."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from analytics_dagster.automation.retry_decision import DECISION, NUMBER, RetryPolicies
from analytics_dagster.automation.retry_sensors import RetryEvaluation, find_failed_runs
from analytics_dagster.cli.home import prepare_home
from analytics_dagster.execution.failures.deployment import DeploymentInfo
from analytics_dagster.execution.failures.events import ReportReader
from analytics_dagster.planning.groups import GROUP_TAG, PROJECT_TAG, IngestionRuns, ScheduleGroup
from analytics_dagster.settings import Settings
from tests.integration.ui import free_port
from tests.processes import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

CODE = """
import dagster as dg

@dg.asset
def first() -> None: ...

@dg.asset(deps=[first])
def second() -> None: ...

only = dg.define_asset_job("only", "*", tags={"%s": "only", "%s": "shop"})
defs = dg.Definitions([first, second], jobs=[only])
"""
SUCCESS, FAILURE, QUEUED = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.QUEUED


@dataclass
class Site:
    """A Dagster home with a queue, and a code server that can be killed and started again."""

    folder: Path
    instance: dg.DagsterInstance
    port: int
    server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the code server."""
        command = [sys.executable, "-m", "dagster", "api", "grpc", "--python-file", str(self.folder / "two_assets.py")]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--location-name", "here"]
        self.server = subprocess.Popen(command, cwd=self.folder)

    def kill(self) -> None:
        """Kill the code server."""
        assert self.server is not None
        self.server.kill()
        self.server.wait()

    @contextmanager
    def workspace(self) -> Iterator[WorkspaceProcessContext]:
        """Load the location, as the daemon does."""
        wait_for("the code server listens", self._listens)
        with WorkspaceProcessContext(self.instance, GrpcServerTarget("127.0.0.1", self.port, None, "here")) as context:
            yield context

    def _listens(self) -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def submit(self, context: WorkspaceProcessContext) -> str:
        """Queue a run of the job."""
        request = context.create_request_context()
        job = request.get_code_location("here").get_repository("__repository__").get_full_job("only")
        namespace: dict[str, dg.Definitions] = {}
        exec((self.folder / "two_assets.py").read_text(), namespace)  # noqa: S102 - the code of this test
        definition = namespace["defs"].resolve_job_def("only")
        run = self.instance.create_run_for_job(
            definition,
            tags=definition.run_tags,
            remote_job_origin=job.get_remote_origin(),
            job_code_origin=job.get_python_origin(),
        )
        self.instance.submit_run(run.run_id, request)
        return run.run_id

    def dequeue(self, context: WorkspaceProcessContext, *, later: float = 0.0) -> None:
        """Take runs from the queue, as the daemon does, some seconds from now."""
        daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
        list(daemon.run_iteration(context, fixed_iteration_time=time.time() + later if later else None))

    def status(self, run_id: str) -> dg.DagsterRunStatus:
        """Return the status of a run."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run.status


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", "restored after the test")
    prepare_home(Settings(dagster_home=tmp_path / "home"))
    (tmp_path / "two_assets.py").write_text(CODE % (GROUP_TAG, PROJECT_TAG))
    return tmp_path


@contextmanager
def opened(folder: Path) -> Iterator[Site]:
    with dg.DagsterInstance.from_config(str(folder / "home")) as instance:
        site = Site(folder, instance, free_port())
        site.start()
        try:
            yield site
        finally:
            site.kill()


def test_a_run_is_queued_again_until_its_code_server_is_back(folder: Path) -> None:
    with opened(folder) as site, site.workspace() as context:
        run_id = site.submit(context)
        site.kill()
        site.dequeue(context)
        assert site.status(run_id) is QUEUED
        site.start()
        with site.workspace() as fresh:
            site.dequeue(fresh)
        wait_for("the run has succeeded", lambda: site.status(run_id) is SUCCESS)


@pytest.mark.parametrize("retries", [0, 2])
def test_a_run_that_was_dropped_from_the_queue_is_requested_again(folder: Path, retries: int) -> None:
    configuration = yaml.safe_load((folder / "home" / "dagster.yaml").read_text())
    # The configuration of an installation that does not queue it again.
    del configuration["run_coordinator"]["config"]["max_user_code_failure_retries"]
    (folder / "home" / "dagster.yaml").write_text(yaml.safe_dump(configuration))
    with opened(folder) as site, site.workspace() as context:
        run_id = site.submit(context)
        site.kill()
        site.dequeue(context)
        assert site.status(run_id) is FAILURE
        group = ScheduleGroup(name="only", select="*", retries=retries, retry_delay=0)
        policies = RetryPolicies({"only": group}, IngestionRuns(), {})
        reader = ReportReader(dict, DeploymentInfo)
        report = partial(reader.read, site.instance, repository=None)

        def evaluate() -> tuple[list[dg.RunRequest], list[str]]:
            records = find_failed_runs(site.instance, time.time(), tags={PROJECT_TAG: "shop"})
            return RetryEvaluation(site.instance, policies, report, time.time()).run(records)

        [request], lines = evaluate()
        assert "(connection; it never started)" in lines[0]
        assert {key.to_user_string() for key in request.asset_selection or ()} == {"first", "second"}
        assert request.tags[NUMBER] == "1"
        run = site.instance.get_run_by_id(run_id)
        assert run is not None
        assert run.tags[DECISION].startswith("retry 1 of 3")
