"""Which processes execute a run, by what they were started with."""

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
def test_the_code_server_and_all_other_processes_are_told_from_those_of_runs(
    command: str, *, is_child: bool, expected: bool
) -> None:
    assert executes_run(command.split(), is_child=is_child) is expected


def test_a_child_that_the_code_server_starts_has_the_servers_command_line() -> None:
    # As Dagster's server does it: `get_context("spawn")`.
    code = (
        "import multiprocessing, sys\n"
        "from tests.unit.test_run_process import tell\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('spawn'); queue = context.Queue()\n"
        "    child = context.Process(target=tell, args=(queue,)); child.start(); print(queue.get()); child.join()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "api", "grpc"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "(['api', 'grpc'], True)\n"


def tell(queue: multiprocessing.Queue[tuple[list[str], bool]]) -> None:
    """Tell what decides, from within the child."""
    queue.put((sys.argv[1:3], multiprocessing.parent_process() is not None))
