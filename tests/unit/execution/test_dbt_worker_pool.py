"""Which commands can use a warm-up, and which worker runs a command; a program that prints requests replaces dbt."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analytics_dagster.execution import dbt_worker_pool
from analytics_dagster.execution.dbt_worker_pool import DbtCommand, WarmUp

FOLDER = Path("/project")
ENVIRONMENT = {"HOME": "/home/ana", "RATE": "7", "DBT_TARGET_PATH": "/target", "DBT_LOG_PATH": "/target"}
PARSE = ("--profile", "shop", "--target", "dev", "--vars", '{"rate": 7}')

WARM_UP = WarmUp(folder=FOLDER, arguments=PARSE, partial_parse=Path("/target/parsed"), environment=ENVIRONMENT)
COMMAND = DbtCommand(
    arguments=("build", *PARSE),
    environment={**ENVIRONMENT, "DBT_TARGET_PATH": "/target/run", "DBT_LOG_PATH": "/target/run"},
    warm_up=WARM_UP,
    unchanged=True,
    live_row_counts=True,
)

PRINTS_REQUESTS = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({key: request[key] for key in ("request", "arguments")} | {"unchanged": request.get("unchanged")}))
    sys.stdout.flush()
    if request["request"] == "run":
        break
"""


def test_a_command_with_other_artifact_folders_can_use_the_warm_up() -> None:
    assert COMMAND.can_use(WARM_UP)


@pytest.mark.parametrize(
    "needed",
    [
        replace(WARM_UP, arguments=PARSE[:4]),
        replace(WARM_UP, arguments=(*PARSE[:5], '{"rate": 8}')),
        replace(WARM_UP, folder=Path("/other")),
        replace(WARM_UP, environment={**ENVIRONMENT, "RATE": "8"}),
        replace(WARM_UP, environment={**ENVIRONMENT, "NEW": "1"}),
        replace(WARM_UP, environment={name: value for name, value in ENVIRONMENT.items() if name != "RATE"}),
    ],
    ids=["other vars", "other values", "other project", "other value", "new variable", "one less"],
)
def test_a_command_that_could_parse_differently_cannot_use_the_warm_up(needed: WarmUp) -> None:
    assert not replace(COMMAND, warm_up=needed).can_use(WARM_UP)


def test_a_command_cannot_use_the_warm_up_if_files_have_changed() -> None:
    assert not replace(COMMAND, unchanged=False).can_use(WARM_UP)


def test_without_a_warm_up_there_is_nothing_to_use() -> None:
    assert not COMMAND.can_use(None)


@pytest.fixture(autouse=True)
def _worker_that_prints_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Another test may have left a worker.
    dbt_worker_pool.end()
    program = tmp_path / "prints_requests.py"
    program.write_text(PRINTS_REQUESTS)
    monkeypatch.setattr(dbt_worker_pool, "_WORKER", program)
    yield
    dbt_worker_pool.end()


def requests(process: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
    """Return the requests that a process received, after it has ended."""
    assert process.stdin is not None
    out, _ = process.communicate(timeout=30)
    return [json.loads(line) for line in out.splitlines()]


def waiting() -> subprocess.Popen[bytes] | None:
    process = dbt_worker_pool._POOL._waiting
    return process.process if process is not None else None


def test_a_command_without_a_waiting_worker_runs() -> None:
    assert requests(dbt_worker_pool.run(COMMAND)) == [
        {"request": "run", "arguments": list(COMMAND.arguments), "unchanged": False}
    ]
    assert waiting() is None


def test_the_waiting_worker_warms_up_and_runs_the_command() -> None:
    dbt_worker_pool.start()
    early = waiting()
    dbt_worker_pool.start()
    dbt_worker_pool.preload([WARM_UP])
    process = dbt_worker_pool.run(COMMAND)
    assert process is early
    assert [request["request"] for request in requests(process)] == ["warm_up", "run"]


def test_the_command_says_whether_the_worker_can_use_its_warm_up() -> None:
    found = []
    for command in (COMMAND, replace(COMMAND, unchanged=False)):
        dbt_worker_pool.preload([WARM_UP])
        found.append(requests(dbt_worker_pool.run(command))[-1]["unchanged"])
    assert found == [True, False]


def test_the_next_worker_starts_when_one_is_used_until_no_warm_up_remains() -> None:
    other = replace(WARM_UP, arguments=("--vars", "{}"))
    dbt_worker_pool.preload([WARM_UP, other])
    first = dbt_worker_pool.run(COMMAND)
    second = waiting()
    assert second is not None
    assert requests(first)[0]["arguments"] == list(PARSE)
    assert dbt_worker_pool.run(COMMAND) is second
    assert waiting() is None
    assert requests(second)[0]["arguments"] == ["--vars", "{}"]


def test_a_worker_that_ended_while_it_waited_is_replaced() -> None:
    dbt_worker_pool.start()
    early = waiting()
    assert early is not None
    os.kill(early.pid, signal.SIGKILL)
    early.wait()
    process = dbt_worker_pool.run(COMMAND)
    assert process.pid != early.pid
    assert requests(process)[-1]["request"] == "run"


def test_an_unused_worker_is_ended() -> None:
    dbt_worker_pool.start()
    early = waiting()
    assert early is not None
    dbt_worker_pool.end()
    assert early.poll() is not None
    assert waiting() is None


def test_a_worker_ends_when_its_parent_is_killed() -> None:
    code = (
        "import sys, time; from pathlib import Path; from analytics_dagster.execution import dbt_worker_pool as pool;"
        f"pool._WORKER = Path({str(dbt_worker_pool._WORKER)!r}); pool.start();"
        "print(pool._POOL._waiting.process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
