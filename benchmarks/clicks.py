"""Measures the time from a launch in the UI to fresh tables, with the processes of a development UI."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.contenders import GROUP, Arena
from benchmarks.measure import Command, Comparison, Contender, Cost, compare, watched

_LONGEST_START = 300.0
_LONGEST_RUN = 1800.0
_BETWEEN_LOOKS = 0.25

_LOCATIONS = """{ repositoriesOrError { ... on RepositoryConnection {
  nodes { name location { name } jobs { name } } } } }"""
_LAUNCH = """mutation ($selector: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $selector, runConfigData: {}}) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}"""
_STATUS = """query ($run: ID!) { runOrError(runId: $run) { ... on Run { status endTime } } }"""


def clicks(arena: Arena, pairs: int) -> Comparison:
    """Compare a click in each UI with a plain `dbt build` of the same group; the UI keeps running between clicks."""
    ours = arena.ours.command("analytics-dagster dev", "analytics-dagster", "dev")
    stock = arena.stock.command("stock dagster dev", "dagster", "dev", "-f", "definitions.py")
    measured = []
    for command in (ours, stock):
        with _open(command) as click:
            measured.append(compare(Contender(f"click in {command.name}", click), arena.dbt_build(), pairs=pairs))
    return Comparison(f"Click to fresh: {arena.title}", measured, arena.require_equal_work())


@contextmanager
def _open(command: Command) -> Iterator[Callable[[], Cost]]:
    """Run a UI within the context; yield a function that launches the job, waits for its success and measures it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = command.folder / "dev.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command.arguments, "--port", str(port)],
            env=dict(command.environment),
            cwd=command.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{port}/graphql"
            selector = _wait_for_job(address, process, log)
            yield lambda: _click(address, selector, process.pid)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                # The UI has its own session, so only its processes are measured.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait_for_job(address: str, process: subprocess.Popen[bytes], log: Path) -> Mapping[str, str]:
    """Wait until the UI knows the job of the group; return its GraphQL selector."""
    deadline = time.monotonic() + _LONGEST_START
    while time.monotonic() < deadline and process.poll() is None:
        try:
            repositories = _ask(address, _LOCATIONS)["repositoriesOrError"].get("nodes", [])
        except OSError:
            # The server does not listen yet.
            repositories = []
        for repository in repositories:
            if any(job["name"] == GROUP for job in repository["jobs"]):
                location = repository["location"]["name"]
                return {"repositoryName": repository["name"], "repositoryLocationName": location, "jobName": GROUP}
        time.sleep(_BETWEEN_LOOKS)
    raise RuntimeError(f"The UI did not load the job {GROUP}:\n{log.read_text(errors='replace')[-4000:]}")


def _click(address: str, selector: Mapping[str, str], pid: int) -> Cost:
    """Launch the job and wait for its success; the end is the time that Dagster recorded.

    The CPU time is that of all processes of the UI.
    """
    with watched(pid) as tree:
        before, launched = tree.cpu(), time.time()
        answer = _ask(address, _LAUNCH, selector=selector)["launchRun"]
        if answer["__typename"] != "LaunchRunSuccess":
            raise RuntimeError(f"The launch failed: {answer}")
        run = answer["run"]["runId"]
        while time.time() < launched + _LONGEST_RUN:
            time.sleep(_BETWEEN_LOOKS)
            state = _ask(address, _STATUS, run=run)["runOrError"]
            if state["status"] == "SUCCESS":
                return Cost(state["endTime"] - launched, tree.cpu() - before, tree.peak)
            if state["status"] in {"FAILURE", "CANCELED"}:
                break
    raise RuntimeError(f"The run {run} ended with {state['status']}.")


def _ask(address: str, query: str, **variables: Any) -> dict[str, Any]:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - our own server
        answer = json.load(response)
    if "errors" in answer:
        raise RuntimeError(f"GraphQL error: {answer['errors']}")
    return dict(answer["data"])
