"""Starts the UI as a process for tests, queries its GraphQL API, launches runs, and stops it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.shop import BIN, ROOT
from tests.processes import wait_for

_LAUNCH = """
mutation ($job: String!) {
  launchRun(executionParams: {selector: {repositoryLocationName: "analytics_dagster",
                                         repositoryName: "__repository__", jobName: $job}}) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
_LOADED = """
{ workspaceOrError { ... on Workspace { locationEntries {
  locationOrLoadError { __typename ... on PythonError { message } } } } } }
"""
_STATUS = "query ($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
_RUNS = "{ runsOrError(limit: 100) { ... on Runs { results { runId jobName status tags { key value } } } } }"
_BUILT = """
query ($run: ID!) { runOrError(runId: $run) { ... on Run { assetMaterializations { assetKey { path } } } } }
"""


_ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass(frozen=True)
class UiRun:
    """A run in the UI."""

    id: str
    job: str
    status: str
    tags: Mapping[str, str]

    @property
    def has_ended(self) -> bool:
        """Whether the run has ended."""
        return self.status in _ENDED


@dataclass(frozen=True)
class Ui:
    """A running UI."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def address(self) -> str:
        """The URL of the UI."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Send a GraphQL query; return its data."""
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.address}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - our own server
            answer: dict[str, Any] = json.loads(response.read())
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    def launch(self, job: str) -> str:
        """Launch a job; return the run id."""
        launched = self.ask(_LAUNCH, job=job)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def status(self, run: str) -> str:
        """Return the status of a run."""
        return str(self.ask(_STATUS, run=run)["runOrError"]["status"])

    def runs(self) -> list[UiRun]:
        """Return the runs, the newest first."""
        return [
            UiRun(run["runId"], run["jobName"], run["status"], {tag["key"]: tag["value"] for tag in run["tags"]})
            for run in self.ask(_RUNS)["runsOrError"]["results"]
        ]

    def built(self, run: str) -> set[str]:
        """Return the keys of the assets that a run materialized."""
        materializations = self.ask(_BUILT, run=run)["runOrError"]["assetMaterializations"]
        return {"/".join(one["assetKey"]["path"]) for one in materializations}

    def wait_for_end(self, run: str, seconds: float = 150) -> str:
        """Wait for the end of a run; return its status."""
        wait_for(f"run {run} has ended", lambda: self.status(run) in _ENDED, seconds)
        return self.status(run)

    def wait_until_loaded(self) -> None:
        """Wait until the code location is loaded without an error."""

        def entries() -> list[dict[str, Any]]:
            assert self.process.poll() is None, self.log.read_text()
            try:
                found: list[dict[str, Any]] = self.ask(_LOADED)["workspaceOrError"]["locationEntries"]
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                return []
            return found if all(entry["locationOrLoadError"] for entry in found) else []

        [entry] = wait_for("the location is loaded", entries, 200)
        assert entry["locationOrLoadError"]["__typename"] == "RepositoryLocation", entry


@contextmanager
def opened(
    command: Sequence[str | Path], *, port: int, environment: Mapping[str, str], folder: Path, log: Path
) -> Iterator[Ui]:
    """Run a command that serves the UI, and wait until the location is loaded; stop it with Ctrl-C at the end."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        ui = Ui(port, process, log)
        ui.wait_until_loaded()
        yield ui
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


@contextmanager
def make_dev(environment: Mapping[str, str], *, landing: Path, log: Path) -> Iterator[Ui]:
    """Run `make dev` on a free port; stop it at the end, and check that no process remains."""
    port = free_port()
    command = [
        # The environment exists: make must not check whether it is older than the requirements.
        *("make", "dev", f"VENV={BIN.parent}", "--old-file", f"{BIN.parent}/shop"),
        *(f"PORT={port}", f"LANDING={landing}"),
    ]
    with opened(command, port=port, environment=environment, folder=ROOT, log=log) as ui:
        yield ui
    wait_for("all processes of make have exited", lambda: not _is_alive(ui.process.pid), 60)


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
