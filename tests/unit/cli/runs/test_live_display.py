"""The live display of a run: bars and failures in a terminal, lines in a log.

No ``from __future__ import annotations`` here: Dagster reads the annotations of decorated functions at run time.
"""

import os
import pty
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest
from dagster_shared.error import SerializableErrorInfo  # what a step's failure holds; no public name

from analytics_dagster.cli.runs.execution import JobRequest, execute_jobs
from analytics_dagster.cli.runs.live_display import _failure, _shorten

LONG = "Runtime Error in model broken (models/broken.sql)\n\n" + "\n".join(f"  line {number}" for number in range(30))


@dg.asset
def tables(context: dg.AssetExecutionContext) -> None:
    context.log.info("waiting for the warehouse w.duckdb, which process 12 (a notebook) holds")
    time.sleep(1.0)
    context.log.info("1 of 3: orders success")
    time.sleep(1.0)
    context.log.warning("2 of 3: broken error")
    context.log.warning(LONG)
    os.write(1, b"what a step prints")
    raise dg.Failure("1 of 3 nodes failed")


@dg.asset(deps=[tables])
def after() -> None: ...


def execute() -> None:
    definitions = dg.Definitions(
        [tables, after], jobs=[dg.define_asset_job("nightly", "*")], executor=dg.in_process_executor
    )
    with dg.DagsterInstance.ephemeral() as instance:
        execute_jobs(definitions, [JobRequest("nightly")], instance=instance)


CLI = "The dbt CLI process with command\n\n`dbt build`\n\nfailed with exit code `{code}`.\n\nErrors parsed:\n\n"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            CLI.format(code=2) + "Encountered an error:\nIO Error: password authentication failed\nfor user a\n\n"
            "Traceback (most recent call last):\n  File ...",
            "dbt failed: IO Error: password authentication failed\nfor user a\n  -> Run `analytics-dagster doctor`",
        ),
        (CLI.format(code=2) + "Encountered an error:\nout of it", "dbt failed: out of it\n"),
        (CLI.format(code=1) + "Runtime Error in model a", "dbt failed; dbt's messages for each node are above"),
        ("dagster._core.definitions.events.Failure: not there", "not there"),
    ],
    ids=["general error", "without a traceback", "error of a node", "our own failure"],
)
def test_a_general_error_of_dbt_is_shown(said: str, told: str) -> None:
    root = SerializableErrorInfo(said, [], "Failure")
    assert _failure(SerializableErrorInfo("wrapped", [], "Error", cause=root)).startswith(told)


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Make standard output a terminal of 100 columns; yield a function that returns what was written."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    master, slave = pty.openpty()
    seen: list[bytes] = []

    def read() -> None:
        while chunk := os.read(master, 65536):
            seen.append(chunk)
            if b"\0" in chunk:
                return

    reader = threading.Thread(target=read)
    reader.start()
    before = os.dup(1)
    os.dup2(slave, 1)

    def written() -> str:
        os.write(slave, b"\0")
        reader.join()
        return b"".join(seen).decode()

    try:
        yield written
    finally:
        os.dup2(before, 1)
        for descriptor in (before, master, slave):
            os.close(descriptor)


@pytest.fixture(scope="module")
def on_a_terminal() -> str:
    with pytest.MonkeyPatch.context() as patch, terminal(patch) as written:
        execute()
        return written()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_bar_shows_the_step_its_progress_and_the_node(on_a_terminal: str) -> None:
    assert re.search(r"tables +━.* 1 of 3 +\S+ orders success", plain(on_a_terminal))


def test_a_waiting_step_names_the_lock_holder_at_its_bar(on_a_terminal: str) -> None:
    said = plain(on_a_terminal)
    assert re.search(r"tables +━.*waiting for the warehouse w.duckdb, which p", said), (
        "cut to the width of the terminal"
    )
    assert "nightly    waiting" not in said, "without a line"


def test_a_failed_node_has_lines_above_the_bars(on_a_terminal: str) -> None:
    said = plain(on_a_terminal)
    assert "nightly    2 of 3: broken error" in said
    assert "Runtime Error in model broken" in said
    assert "line 6" in said
    assert "line 7" not in said
    assert "more lines in the run's logs" in said
    assert "tables failed: 1 of 3 nodes failed" in said
    assert "what a step prints" not in said


def test_the_terminal_is_restored(on_a_terminal: str) -> None:
    assert on_a_terminal.count("\x1b[?25l") == on_a_terminal.count("\x1b[?25h") > 0, "the cursor is restored"
    assert on_a_terminal.rindex("\x1b[?25h") > on_a_terminal.rindex("\x1b[?25l")
    assert "\x1b[2K" in on_a_terminal[on_a_terminal.rindex("━") :], "the last bar is erased"


def test_an_interrupted_run_restores_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    @dg.asset
    def interrupted() -> None:
        time.sleep(0.7)
        raise KeyboardInterrupt

    definitions = dg.Definitions(
        [interrupted], jobs=[dg.define_asset_job("nightly", "*")], executor=dg.in_process_executor
    )
    with terminal(monkeypatch) as written:
        with dg.DagsterInstance.ephemeral() as instance:
            execute_jobs(definitions, [JobRequest("nightly")], instance=instance)
        text = written()
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_a_log_gets_lines_with_whole_messages(capfd: pytest.CaptureFixture[str]) -> None:
    execute()
    said = capfd.readouterr().out
    assert "\x1b" not in said
    assert re.search(r"\d\d:\d\d:\d\d nightly +tables started\n", said)
    for line in ("waiting for the warehouse", "1 of 3: orders success", "line 29", "tables failed: 1 of 3 nodes"):
        assert line in said
    assert "what a step prints" not in said


def test_a_run_that_fails_before_its_first_step_shows_the_reason(capfd: pytest.CaptureFixture[str]) -> None:
    @dg.resource
    def broken(_: dg.InitResourceContext) -> None:
        raise dg.Failure("no warehouse [/] today")

    @dg.asset(required_resource_keys={"broken"})
    def needs_it() -> None: ...

    definitions = dg.Definitions(
        [needs_it],
        resources={"broken": broken},
        jobs=[dg.define_asset_job("nightly", "*")],
        executor=dg.in_process_executor,
    )
    with dg.DagsterInstance.ephemeral() as instance:
        execute_jobs(definitions, [JobRequest("nightly")], instance=instance)
    assert "no warehouse [/] today" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("text", "most", "shown"),
    [
        ("one", 1, "one"),
        ("one\n\ntwo\n", None, "one\n\ntwo\n"),
        ("one\n\ntwo\n", 2, "one\n\ntwo\n"),
        ("one\n\n two\nthree", 2, "one\n two … (1 more lines in the run's logs)"),
        ("one\ntwo", 1, "one"),
    ],
)
def test_a_long_message_is_shortened_without_blank_lines(text: str, most: int | None, shown: Any) -> None:
    assert _shorten(text, most) == shown
