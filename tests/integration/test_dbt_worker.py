"""A warm dbt worker does what the dbt command does: same nodes, log, artifacts, exit codes and shutdown."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from analytics_dagster.dagster_internals.guard import NO_INTERNALS
from analytics_dagster.execution import dbt_worker_pool
from analytics_dagster.execution.dbt_worker import ROW_COUNTS
from analytics_dagster.execution.dbt_worker_pool import DbtCommand, WarmUp
from tests.conftest import Library

pytestmark = pytest.mark.integration

DBT = Path(sys.executable).with_name("dbt")
RESULTS = {"LogModelResult", "LogSeedResult", "LogSnapshotResult", "LogTestResult", "SkippingDetails"}


class Commands:
    """dbt commands in a copy of the lending library."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.folder = library.folder / "run"
        self.folder.mkdir()
        # As a step does it: dbt then parses only what has changed.
        shutil.copy(library.artifacts / "partial_parse.msgpack", self.folder)

    def environment(self, folder: Path, **others: str) -> dict[str, str]:
        """Return the environment of a command that writes to a folder."""
        return {
            **os.environ,
            "DBT_LOG_FORMAT": "json",
            "DBT_LOG_FORMAT_FILE": "debug",
            "DBT_PROFILES_DIR": str(self.library.project / "profiles"),
            "DBT_PROJECT_DIR": str(self.library.project),
            "DBT_TARGET_PATH": str(folder),
            "DBT_LOG_PATH": str(folder),
            **others,
        }

    @property
    def parse(self) -> tuple[str, ...]:
        """The arguments that affect the parse."""
        return ("--profile", "library", "--target", "laptop")

    def warm_up(self) -> WarmUp:
        """Return the warm-up of a worker."""
        artifacts = self.library.artifacts
        return WarmUp(
            folder=self.library.project,
            arguments=self.parse,
            partial_parse=artifacts / "partial_parse.msgpack",
            environment=self.environment(artifacts),
        )

    def command(self, *arguments: str, unchanged: bool = True, **others: str) -> DbtCommand:
        """Return a command with these arguments and more environment variables."""
        warm_up = self.warm_up()
        return DbtCommand(
            arguments=(*arguments, *self.parse),
            environment=self.environment(self.folder, **others),
            warm_up=replace(warm_up, environment={**warm_up.environment, **others}),
            unchanged=unchanged,
            live_row_counts=True,
        )

    def plain(self, *arguments: str) -> tuple[int, str]:
        """Run the dbt command; return its exit code and output."""
        done = subprocess.run(
            [DBT, *arguments, *self.parse],
            env=self.environment(self.folder),
            cwd=self.library.project,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    @property
    def log(self) -> str:
        """The text of dbt's log file."""
        return (self.folder / "dbt.log").read_text()


def run(command: DbtCommand) -> tuple[int, str]:
    """Run a command in a worker; return its exit code and output."""
    return wait_for(dbt_worker_pool.run(command))


def wait_for(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Return the exit code and the rest of the output of a process, and keep its input open until then."""
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        output = process.stdout.read().decode()
        return process.wait(timeout=30), output


def events(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def outcomes(out: str) -> dict[str, str]:
    """Return the status of each node."""
    return {
        event["data"]["node_info"]["unique_id"]: event["data"]["node_info"]["node_status"]
        for event in events(out)
        if event["info"]["name"] in RESULTS
    }


def row_counts(out: str) -> dict[str, int | None]:
    found = [event["data"]["row_counts"] for event in events(out) if event["info"]["name"] == ROW_COUNTS]
    return {unique_id: count for counts in found for unique_id, count in counts.items()}


@pytest.fixture(autouse=True)
def _no_waiting_worker() -> Iterator[None]:
    yield
    dbt_worker_pool.end()


@pytest.fixture
def commands(prepared: Library) -> Commands:
    return Commands(prepared)


def cpu_ticks(process: subprocess.Popen[bytes]) -> float:
    """Return the CPU time that a process has used, in hundredths of a second."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return float(fields[11]) + float(fields[12])


def wait_until_warm(process: subprocess.Popen[bytes]) -> None:
    """Wait until a worker has imported dbt, parsed the project, and is idle."""
    usage: list[float] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        usage.append(cpu_ticks(process))
        if len(usage) > 8 and usage[-1] > 50 and usage[-1] == usage[-6]:
            return
        time.sleep(0.25)
    raise AssertionError("the worker is not warm after a minute")


def start_warm_worker(warm_up: WarmUp) -> subprocess.Popen[bytes]:
    dbt_worker_pool.preload([warm_up])
    waiting = dbt_worker_pool._POOL._waiting
    assert waiting is not None
    wait_until_warm(waiting.process)
    return waiting.process


# --- the same as the dbt command ----------------------------------------------------------------------------


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def both(
    preparation: Any, tmp_path_factory: pytest.TempPathFactory, copy_prepared: Callable[[Library, Path], Library]
) -> Mapping[str, tuple[Commands, str]]:
    """Run the same build by the dbt command and by a warm worker; give the output of both."""
    plain = Commands(copy_prepared(preparation.library, tmp_path_factory.mktemp("plain")))
    warm = Commands(copy_prepared(preparation.library, tmp_path_factory.mktemp("warm")))
    code, plain_output = plain.plain("build")
    assert code == 0, plain_output
    start_warm_worker(warm.warm_up())
    code, output = run(warm.command("build"))
    assert code == 0, output
    return {"plain": (plain, plain_output), "warm": (warm, output)}


def test_the_worker_logs_the_same_events_and_results(both: Mapping[str, tuple[Commands, str]]) -> None:
    results = {name: outcomes(output) for name, (_, output) in both.items()}
    assert len(results["plain"]) > 8
    assert results["warm"] == results["plain"]
    keys = {name: {event["info"]["name"] for event in events(output)} for name, (_, output) in both.items()}
    parsing = {"PartialParsingFile", "UnableToPartialParse", "PartialParsingFullReparseBecauseOfError"}
    assert keys["warm"] - {ROW_COUNTS} == keys["plain"] - parsing


def test_the_worker_writes_the_same_artifacts(both: Mapping[str, tuple[Commands, str]]) -> None:
    files = {name: files_of(commands.folder) for name, (commands, _) in both.items()}
    assert files["warm"] == files["plain"]
    warm, plain = (json.loads((both[name][0].folder / "manifest.json").read_text()) for name in ("warm", "plain"))
    results, expected = (
        json.loads((both[name][0].folder / "run_results.json").read_text()) for name in ("warm", "plain")
    )
    assert warm["metadata"]["invocation_id"] == results["metadata"]["invocation_id"]
    assert warm.keys() == plain.keys()
    for kind in ("nodes", "sources", "macros", "parent_map", "child_map"):
        assert warm[kind].keys() == plain[kind].keys()
    ended = [{result["unique_id"]: result["status"] for result in one["results"]} for one in (results, expected)]
    assert ended[0] == ended[1]
    assert results["args"]["invocation_command"].startswith("dbt build --profile library")


def test_the_worker_uses_its_early_parse_if_nothing_has_changed(both: Mapping[str, tuple[Commands, str]]) -> None:
    log = both["warm"][0].log
    assert "Running with dbt=" in log
    assert "arsing" not in log, "the log mentions no parse"
    assert log.count("Wrote artifact WritableManifest") == 1
    assert "[debug]" in log


def test_the_worker_counts_the_rows_of_tables_only(both: Mapping[str, tuple[Commands, str]]) -> None:
    commands, output = both["warm"]
    manifest = json.loads((commands.folder / "manifest.json").read_text())
    counted = {
        unique_id: node["relation_name"]
        for unique_id, node in manifest["nodes"].items()
        if node["config"]["materialized"] in {"table", "incremental", "seed", "snapshot"}
    }
    with duckdb.connect(str(commands.library.warehouse), read_only=True) as connection:
        rows = {unique_id: connection.table(name).count("*").fetchall()[0][0] for unique_id, name in counted.items()}
    assert len(rows) > 3
    assert row_counts(output) == rows


def test_the_worker_formats_no_hidden_log_lines(both: Mapping[str, tuple[Commands, str]]) -> None:
    # dbt formats a line for standard output of each debug event, and then does not write it.
    code = (
        "import sys; from analytics_dagster.execution import dbt_worker;"
        "from dbt_common.events.logger import _JsonLogger;"
        "made = []; create = _JsonLogger.create_line;"
        "_JsonLogger.create_line = lambda self, msg: made.append(msg.info.level) or create(self, msg);"
        "code = dbt_worker._run(dict(environment=dict(__import__('os').environ), folder='.', arguments=sys.argv[1:],"
        " unchanged=False, live_row_counts=False), None); print('made', sorted(set(made)), code)"
    )
    commands = both["plain"][0]
    done = subprocess.run(
        [sys.executable, "-c", code, "ls", *commands.parse],
        env={**commands.environment(commands.folder.with_name("listing")), "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=commands.library.project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "made ['info'] 0", done.stdout + done.stderr


def test_a_parse_for_another_connection_is_repeated_early_and_once(commands: Commands) -> None:
    # As in a pod whose image was built with another host.
    profile = commands.library.project / "profiles" / "profiles.yml"
    profile.write_text(profile.read_text().replace("threads: 2", "threads: 2\n      settings: {TimeZone: UTC}"))
    start_warm_worker(commands.warm_up())
    code, output = run(commands.command("build", "--select", "books", "--indirect-selection", "empty"))
    assert code == 0, output
    assert "arsing" not in commands.log, "the log mentions no parse"
    assert outcomes(output) == {"seed.lending_library.books": "success"}


@pytest.mark.parametrize("name", [NO_INTERNALS, ""])
def test_without_internals_the_worker_builds_the_same_and_leaves_parse_and_counts_to_others(
    commands: Commands, name: str
) -> None:
    variables: dict[str, Any] = {name: "1"} if name else {}
    warm_up = commands.warm_up()
    start_warm_worker(replace(warm_up, environment={**warm_up.environment, **variables}))
    code, output = run(commands.command("build", "--select", "books", "--indirect-selection", "empty", **variables))
    assert code == 0, output
    assert outcomes(output) == {"seed.lending_library.books": "success"}
    assert ("arsing" in commands.log) is bool(name), "the early parse is used only with internals"
    assert bool(row_counts(output)) is not bool(name)
    assert output.count("Not using the private name") == (3 if name else 0)


# --- changes after the warm-up ------------------------------------------------------------------------------


def test_files_and_variables_that_changed_after_the_warm_up_are_read_again(commands: Commands) -> None:
    start_warm_worker(commands.warm_up())
    shelf = commands.library.project / "transformations" / "shelf.sql"
    shelf.write_text(shelf.read_text() + "\n-- changed\n")
    code, output = run(
        commands.command("build", "--select", "+shelf", unchanged=False, LIBRARY_FILE="elsewhere.duckdb")
    )
    assert code == 0, output
    assert "changed" in (commands.folder / "compiled/lending_library/transformations/shelf.sql").read_text()
    assert json.loads((commands.folder / "manifest.json").read_text())["metadata"]["project_name"] == "lending_library"
    assert (commands.library.project / "elsewhere.duckdb").exists()
    assert not commands.library.warehouse.exists()


def test_an_unreadable_partial_parse_file_leads_to_a_full_parse(commands: Commands) -> None:
    for folder in (commands.library.artifacts, commands.folder):
        (folder / "partial_parse.msgpack").write_bytes(b"not what dbt wrote")
    start_warm_worker(commands.warm_up())
    code, output = run(commands.command("build", "--select", "books", "--indirect-selection", "empty"))
    assert code == 0, output
    assert outcomes(output) == {"seed.lending_library.books": "success"}


# --- exit and shutdown --------------------------------------------------------------------------------------


def test_a_failed_build_logs_the_reason_and_has_dbts_exit_code(commands: Commands) -> None:
    (commands.library.project / "transformations" / "broken.sql").write_text("select nothing from {{ ref('books') }}")
    code, output = run(
        commands.command("build", "--select", "books broken", "--indirect-selection", "empty", unchanged=False)
    )
    assert code == 1
    assert outcomes(output) == {"seed.lending_library.books": "success", "model.lending_library.broken": "error"}
    assert "RunResultError" in output


@pytest.mark.parametrize("arguments", [("build", "--nonsense"), ("build", "--selector", "none_such")])
def test_invalid_arguments_have_dbts_exit_code_and_are_named(commands: Commands, arguments: list[str]) -> None:
    code, output = run(commands.command(*arguments))
    assert code == 2
    assert arguments[-1].strip("-") in output


@pytest.fixture
def slow(commands: Commands) -> Commands:
    """Give a project with a model that takes a minute and reads a quick one."""
    (commands.library.project / "transformations" / "slow.sql").write_text(
        "select count(*) as n, (select count(*) from {{ ref('books') }}) as books "
        "from range(300000) a, range(3000000) b where a.range * b.range % 7 = 3"
    )
    (commands.library.project / "transformations" / "slow.yml").write_text(
        "models: [{name: slow, config: {materialized: table}}]"
    )
    return commands


def start_slow_model(commands: Commands) -> subprocess.Popen[bytes]:
    """Start the slow build, and return when DuckDB runs the query of the slow model.

    Between the log event and the query DuckDB loses an interrupt, also with the dbt command.
    """
    process = dbt_worker_pool.run(commands.command("build", "--select", "+slow", unchanged=False))
    assert process.stdout is not None
    for line in process.stdout:
        if b"LogStartLine" in line and b"slow" in line:
            before = cpu_ticks(process)
            while cpu_ticks(process) < before + 100:
                time.sleep(0.1)
            return process
    raise AssertionError(process.wait())


def test_a_signal_stops_dbt_cleanly_and_later_ones_change_nothing(slow: Commands) -> None:
    process = start_slow_model(slow)
    process.send_signal(signal.SIGTERM)
    # Until the process has ended: signals arrive during dbt's clean-up and while Python shuts down.
    while process.poll() is None:
        for number in (signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
            time.sleep(0.002)
    code, output = wait_for(process)
    assert code == 2
    assert "Exited because of keyboard interrupt" in output
    with duckdb.connect(str(slow.library.warehouse), read_only=True) as connection:
        assert connection.execute("select count(*) > 0 from books").fetchall() == [(True,)]


def test_a_running_worker_stops_when_its_input_is_closed(slow: Commands) -> None:
    process = start_slow_model(slow)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=30) == 2
    assert process.stdout is not None
    process.stdout.close()


def test_a_waiting_worker_opens_no_warehouse_and_ends_with_its_input_or_a_signal(commands: Commands) -> None:
    first = start_warm_worker(commands.warm_up())
    duckdb.connect(str(commands.library.warehouse)).close()
    assert first.stdin is not None
    first.stdin.close()
    assert first.wait(timeout=10) == 0
    second = start_warm_worker(commands.warm_up())
    assert second.pid != first.pid
    second.send_signal(signal.SIGINT)
    assert second.wait(timeout=10) == 130
