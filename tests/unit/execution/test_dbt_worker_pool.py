"""Which preparation fits which call, and who gets the process that waits: with a program that repeats its orders."""

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
from analytics_dagster.execution.dbt_worker_pool import Call, Preparation, RowCounts

FOLDER = Path("/project")
ENVIRONMENT = {"HOME": "/home/ana", "RATE": "7", "DBT_TARGET_PATH": "/target", "DBT_LOG_PATH": "/target"}
PARSE = ("--profile", "shop", "--target", "dev", "--vars", '{"rate": 7}')

PREPARATION = Preparation(folder=FOLDER, arguments=PARSE, parsed=Path("/target/parsed"), environment=ENVIRONMENT)
CALL = Call(
    arguments=("build", *PARSE),
    folder=FOLDER,
    environment={**ENVIRONMENT, "DBT_TARGET_PATH": "/target/run", "DBT_LOG_PATH": "/target/run"},
    parse=PARSE,
    unchanged=True,
    row_counts=RowCounts.LIVE,
)

REPEATS = """
import json, sys
for line in sys.stdin:
    order = json.loads(line)
    print(json.dumps({key: order[key] for key in ("order", "arguments")} | {"unchanged": order.get("unchanged")}))
    sys.stdout.flush()
    if order["order"] == "run":
        break
"""


def test_what_was_prepared_fits_a_call_that_only_writes_elsewhere() -> None:
    assert CALL.fits(PREPARATION)


@pytest.mark.parametrize(
    "call",
    [
        replace(CALL, unchanged=False),
        replace(CALL, parse=PARSE[:4]),
        replace(CALL, parse=(*PARSE[:5], '{"rate": 8}')),
        replace(CALL, folder=Path("/other")),
        replace(CALL, environment={**CALL.environment, "RATE": "8"}),
        replace(CALL, environment={**CALL.environment, "NEW": "1"}),
        replace(CALL, environment={name: value for name, value in CALL.environment.items() if name != "RATE"}),
    ],
    ids=["files changed", "other vars", "other values", "other project", "other value", "new variable", "one less"],
)
def test_what_was_prepared_fits_no_call_under_which_dbt_might_parse_something_else(call: Call) -> None:
    assert not call.fits(PREPARATION)


def test_nothing_fits_where_nothing_was_prepared() -> None:
    assert not CALL.fits(None)


@pytest.fixture(autouse=True)
def _repeating(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # One that another test has left is not to be used.
    dbt_worker_pool.end()
    program = tmp_path / "repeats.py"
    program.write_text(REPEATS)
    monkeypatch.setattr(dbt_worker_pool, "_RUNNER", program)
    yield
    dbt_worker_pool.end()


def told(process: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
    """Return what a process was told, once it has ended."""
    assert process.stdin is not None
    out, _ = process.communicate(timeout=30)
    return [json.loads(line) for line in out.splitlines()]


def waiting() -> subprocess.Popen[bytes] | None:
    process = dbt_worker_pool._SUPPLY._waiting
    return process.process if process is not None else None


def test_a_call_that_nobody_foresaw_is_run() -> None:
    assert told(dbt_worker_pool.run(CALL)) == [{"order": "run", "arguments": list(CALL.arguments), "unchanged": False}]
    assert waiting() is None


def test_the_process_that_was_started_early_prepares_and_runs() -> None:
    dbt_worker_pool.start()
    early = waiting()
    dbt_worker_pool.start()
    dbt_worker_pool.expect([PREPARATION])
    process = dbt_worker_pool.run(CALL)
    assert process is early
    assert [order["order"] for order in told(process)] == ["prepare", "run"]


def test_a_call_that_fits_says_so_to_the_process_and_one_that_does_not_too() -> None:
    found = []
    for call in (CALL, replace(CALL, unchanged=False)):
        dbt_worker_pool.expect([PREPARATION])
        found.append(told(dbt_worker_pool.run(call))[-1]["unchanged"])
    assert found == [True, False]


def test_each_next_process_is_started_when_one_is_used_and_none_after_the_last() -> None:
    other = replace(PREPARATION, arguments=("--vars", "{}"))
    dbt_worker_pool.expect([PREPARATION, other])
    first = dbt_worker_pool.run(CALL)
    second = waiting()
    assert second is not None
    assert told(first)[0]["arguments"] == list(PARSE)
    assert dbt_worker_pool.run(CALL) is second
    assert waiting() is None
    assert told(second)[0]["arguments"] == ["--vars", "{}"]


def test_a_process_that_ended_while_it_waited_is_replaced() -> None:
    dbt_worker_pool.start()
    early = waiting()
    assert early is not None
    os.kill(early.pid, signal.SIGKILL)
    early.wait()
    process = dbt_worker_pool.run(CALL)
    assert process.pid != early.pid
    assert told(process)[-1]["order"] == "run"


def test_a_process_whose_help_is_not_wanted_ends() -> None:
    dbt_worker_pool.start()
    early = waiting()
    assert early is not None
    dbt_worker_pool.end()
    assert early.poll() is not None
    assert waiting() is None


def test_it_ends_when_what_has_started_it_is_killed() -> None:
    code = (
        "import sys, time; from pathlib import Path; from analytics_dagster.execution import dbt_worker_pool as warm;"
        f"warm._RUNNER = Path({str(dbt_worker_pool._RUNNER)!r}); warm.start();"
        "print(warm._SUPPLY._waiting.process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
