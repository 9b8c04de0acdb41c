"""`make dev`: the location loads, a launch runs, history is kept, the shop sells on, and Ctrl-C ends all of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.shop import BIN, ROOT

pytestmark = pytest.mark.integration

LIBRARY = ROOT / "tests" / "projects" / "lending_library"
LAUNCH = """
mutation ($job: String!) {
  launchRun(executionParams: {selector: {repositoryLocationName: "analytics_dagster",
                                         repositoryName: "__repository__", jobName: $job}}) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
STATUS = "query ($run: ID!) {runOrError(runId: $run) {... on Run {status}}}"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _ask(port: int, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        data=json.dumps({"query": query, "variables": variables or {}}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - the same
        answer: dict[str, Any] = json.loads(response.read())
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data


def _wait_for(what: str, ready: Any, seconds: float = 150) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = ready()
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError(f"waited {seconds:g} s for {what}")


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def _ui(environment: Mapping[str, str], log: Path) -> Iterator[int]:
    port = _free_port()
    with log.open("a") as output:
        process = subprocess.Popen(
            # The environment is there already: make is told not to look whether it is older than its requirements.
            [
                *("make", "dev", f"VENV={BIN.parent}", "--old-file", f"{BIN.parent}/shop"),
                *(f"PORT={port}", f"LANDING={log.parent / 'landing'}"),
            ],
            cwd=ROOT,
            env=dict(environment),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:

        def loaded() -> Any:
            assert process.poll() is None, log.read_text()
            try:
                answer = _ask(
                    port,
                    "{workspaceOrError {... on Workspace {locationEntries {locationOrLoadError {"
                    "__typename ... on PythonError {message}}}}}}",
                )
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                return None
            entries = answer["workspaceOrError"]["locationEntries"]
            return entries and all(entry["locationOrLoadError"] for entry in entries) and entries

        [entry] = _wait_for("the location", loaded)
        assert entry["locationOrLoadError"]["__typename"] == "RepositoryLocation", entry
        yield port
    finally:
        # As a terminal does on Ctrl-C: to all of them.
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    _wait_for("the end of all that make started", lambda: not _is_alive(process.pid), 60)


def test_a_job_launched_from_the_ui_builds_its_group_and_its_run_outlives_a_restart(tmp_path: Path) -> None:
    project = shutil.copytree(LIBRARY, tmp_path / "library")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("ANALYTICS_", "DAGSTER_"))},
        "ANALYTICS_DBT_PROJECT_DIR": str(project),
        "ANALYTICS_DBT_PROFILES_DIR": str(project / "profiles"),
        "ANALYTICS_SCHEDULE_GROUPS_FILE": str(project / "schedule_groups.yaml"),
        "DAGSTER_HOME": str(tmp_path / "home"),
    }
    log = tmp_path / "dev.log"
    with _ui(environment, log) as port:
        launched = _ask(port, LAUNCH, {"job": "opening_time"})["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run = launched["run"]["runId"]

        def ended() -> str | None:
            now = str(_ask(port, STATUS, {"run": run})["runOrError"]["status"])
            return now if now in {"SUCCESS", "FAILURE", "CANCELED"} else None

        assert _wait_for("the run", ended) == "SUCCESS", log.read_text()
        schedules = _ask(
            port,
            '{schedulesOrError(repositorySelector: {repositoryLocationName: "analytics_dagster", '
            'repositoryName: "__repository__"}) {... on Schedules {results {name cronSchedule executionTimezone '
            "scheduleState {status}}}}}",
        )["schedulesOrError"]["results"]
        assert {one["name"]: (one["cronSchedule"], one["executionTimezone"]) for one in schedules} == {
            "closing_time_schedule": ("30 18 * * 1-6", "Europe/Berlin"),
            "opening_time_schedule": ("['0 8 * * *', '0 13 * * *']", "UTC"),
        }
        assert {one["scheduleState"]["status"] for one in schedules} == {"STOPPED"}
    assert list((tmp_path / "landing").rglob("*.parquet"))
    with _ui(environment, log) as port:
        assert _ask(port, STATUS, {"run": run})["runOrError"]["status"] == "SUCCESS"
