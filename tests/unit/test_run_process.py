"""Which processes execute a run, by their command line and parent."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys

import pytest

from analytics_dagster.run_process import executes_run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("command", "is_child", "expected"),
    [
        ("dagster api execute_run {}", False, True),
        ("dagster api grpc --lazy-load-user-code --socket /tmp/socket", True, True),
        ("dagster api grpc --lazy-load-user-code --socket /tmp/socket", False, False),
        ("dagster api execute_step {}", False, False),
        ("dagster api execute_step {}", True, False),
        ("dagster code-server start --port 4000", False, False),
        ("dagster dev", False, False),
        ("dagster definitions validate", False, False),
        ("dagster job execute -j nightly", False, False),
        ("analytics-dagster build", False, False),
        ("pytest -q", True, False),
        ("dagster", False, False),
    ],
)
def test_only_processes_that_execute_a_run_are_recognised(command: str, *, is_child: bool, expected: bool) -> None:
    assert executes_run(command.split(), is_child=is_child) is expected


def test_a_child_of_the_code_server_has_the_servers_command_line() -> None:
    # Dagster's code server starts runs with `get_context("spawn")`.
    code = (
        "import multiprocessing, sys\n"
        "from tests.unit.test_run_process import report\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('spawn'); queue = context.Queue()\n"
        "    child = context.Process(target=report, args=(queue,)); child.start(); print(queue.get()); child.join()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "api", "grpc"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "(['api', 'grpc'], True)\n"


def report(queue: multiprocessing.Queue[tuple[list[str], bool]]) -> None:
    """Report the inputs of the decision from within the child."""
    queue.put((sys.argv[1:3], multiprocessing.parent_process() is not None))
