"""dbt made ready does what the dbt command does: the same nodes, log, artifacts and exit codes, and the same end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest

from analytics_dagster.execution import dbt_worker_pool
from analytics_dagster.execution.dbt_worker import ROW_COUNTS
from analytics_dagster.execution.dbt_worker_pool import Call, Preparation, RowCounts
from tests.conftest import Library

pytestmark = pytest.mark.integration

DBT = Path(sys.executable).with_name("dbt")
RESULTS = {"LogModelResult", "LogSeedResult", "LogSnapshotResult", "LogTestResult", "SkippingDetails"}


class Calls:
    """Calls of dbt in a copy of the lending library, made ready or not."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.folder = library.folder / "run"
        self.folder.mkdir()
        # As a step does it: a dbt that parses by itself then parses what has changed.
        shutil.copy(library.artifacts / "partial_parse.msgpack", self.folder)

    def environment(self, folder: Path, **others: str) -> dict[str, str]:
        """Return the environment of a call that writes into a folder."""
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
        """The arguments on which the parse depends."""
        return ("--profile", "library", "--target", "laptop")

    def preparation(self) -> Preparation:
        """Return what is made ready."""
        artifacts = self.library.artifacts
        return Preparation(
            folder=self.library.project,
            arguments=self.parse,
            parsed=artifacts / "partial_parse.msgpack",
            environment=self.environment(artifacts),
        )

    def call(self, *arguments: str, unchanged: bool = True, **others: str) -> Call:
        """Return a call with these arguments, and more variables of the environment."""
        return Call(
            arguments=(*arguments, *self.parse),
            folder=self.library.project,
            environment=self.environment(self.folder, **others),
            parse=self.parse,
            unchanged=unchanged,
            row_counts=RowCounts.LIVE,
        )

    def plain(self, *arguments: str) -> tuple[int, str]:
        """Run the dbt command itself; return its exit code and output."""
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
        """The log that dbt writes for people."""
        return (self.folder / "dbt.log").read_text()


def run(call: Call) -> tuple[int, str]:
    """Run a call; return its exit code and output."""
    return ended(dbt_worker_pool.run(call))


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Return the exit code and the rest of the output of a process whose input stays open meanwhile."""
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        said = process.stdout.read().decode()
        return process.wait(timeout=30), said


def events(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def outcomes(out: str) -> dict[str, str]:
    """Return how each node came out."""
    return {
        event["data"]["node_info"]["unique_id"]: event["data"]["node_info"]["node_status"]
        for event in events(out)
        if event["info"]["name"] in RESULTS
    }


def row_counts(out: str) -> dict[str, int | None]:
    found = [event["data"]["row_counts"] for event in events(out) if event["info"]["name"] == ROW_COUNTS]
    return {unique_id: count for counts in found for unique_id, count in counts.items()}


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    yield
    dbt_worker_pool.end()


@pytest.fixture
def calls(prepared: Library) -> Calls:
    return Calls(prepared)


def ticks(process: subprocess.Popen[bytes]) -> float:
    """Return the CPU time that a process has used, in hundredths of a second."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return float(fields[11]) + float(fields[12])


def until_ready(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has imported dbt and parsed, and is idle."""
    usage: list[float] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        usage.append(ticks(process))
        if len(usage) > 8 and usage[-1] > 50 and usage[-1] == usage[-6]:
            return
        time.sleep(0.25)
    raise AssertionError("dbt is not ready after a minute")


def made_ready(preparation: Preparation) -> subprocess.Popen[bytes]:
    dbt_worker_pool.expect([preparation])
    waiting = dbt_worker_pool._SUPPLY._waiting
    assert waiting is not None
    until_ready(waiting.process)
    return waiting.process


# --- the same as the dbt command ----------------------------------------------------------------------------


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def both(
    preparation: Any, tmp_path_factory: pytest.TempPathFactory, copy_prepared: Callable[[Library, Path], Library]
) -> Mapping[str, tuple[Calls, str]]:
    """Give the same build by the dbt command and by dbt made ready, each with what it said."""
    plain = Calls(copy_prepared(preparation.library, tmp_path_factory.mktemp("plain")))
    warm = Calls(copy_prepared(preparation.library, tmp_path_factory.mktemp("warm")))
    code, said = plain.plain("build")
    assert code == 0, said
    made_ready(warm.preparation())
    code, told = run(warm.call("build"))
    assert code == 0, told
    return {"plain": (plain, said), "warm": (warm, told)}


def test_it_tells_the_same_of_the_same_nodes(both: Mapping[str, tuple[Calls, str]]) -> None:
    told = {name: outcomes(said) for name, (_, said) in both.items()}
    assert len(told["plain"]) > 8
    assert told["warm"] == told["plain"]
    keys = {name: {event["info"]["name"] for event in events(said)} for name, (_, said) in both.items()}
    parsing = {"PartialParsingFile", "UnableToPartialParse", "PartialParsingFullReparseBecauseOfError"}
    assert keys["warm"] - {ROW_COUNTS} == keys["plain"] - parsing


def test_it_leaves_the_same_artifacts(both: Mapping[str, tuple[Calls, str]]) -> None:
    files = {name: files_of(calls.folder) for name, (calls, _) in both.items()}
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


def test_it_takes_what_it_has_parsed_before_if_nothing_has_changed(both: Mapping[str, tuple[Calls, str]]) -> None:
    log = both["warm"][0].log
    assert "Running with dbt=" in log
    assert "arsing" not in log, "it says nothing of parsing"
    assert log.count("Wrote artifact WritableManifest") == 1
    assert "[debug]" in log


def test_it_counts_the_rows_of_tables_and_of_nothing_else(both: Mapping[str, tuple[Calls, str]]) -> None:
    calls, said = both["warm"]
    manifest = json.loads((calls.folder / "manifest.json").read_text())
    counted = {
        unique_id: node["relation_name"]
        for unique_id, node in manifest["nodes"].items()
        if node["config"]["materialized"] in {"table", "incremental", "seed", "snapshot"}
    }
    with duckdb.connect(str(calls.library.warehouse), read_only=True) as connection:
        rows = {unique_id: connection.table(name).count("*").fetchall()[0][0] for unique_id, name in counted.items()}
    assert len(rows) > 3
    assert row_counts(said) == rows


def test_lines_that_nobody_sees_are_not_made(both: Mapping[str, tuple[Calls, str]]) -> None:
    # dbt makes a line for standard output of each of its debug events, and then does not write it.
    code = (
        "import sys; from analytics_dagster.execution import dbt_worker;"
        "from dbt_common.events.logger import _JsonLogger;"
        "made = []; create = _JsonLogger.create_line;"
        "_JsonLogger.create_line = lambda self, msg: made.append(msg.info.level) or create(self, msg);"
        "code = dbt_worker._run(dict(environment=dict(__import__('os').environ), folder='.', arguments=sys.argv[1:],"
        " unchanged=False, count_rows=''), None); print('made', sorted(set(made)), code)"
    )
    calls = both["plain"][0]
    done = subprocess.run(
        [sys.executable, "-c", code, "ls", *calls.parse],
        env={**calls.environment(calls.folder.with_name("listing")), "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=calls.library.project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "made ['info'] 0", done.stdout + done.stderr


def test_what_was_parsed_for_another_connection_is_parsed_anew_once_and_early(calls: Calls) -> None:
    # As in a pod, whose host is another than that with which its image was built.
    profile = calls.library.project / "profiles" / "profiles.yml"
    profile.write_text(profile.read_text().replace("threads: 2", "threads: 2\n      settings: {TimeZone: UTC}"))
    made_ready(calls.preparation())
    code, said = run(calls.call("build", "--select", "books", "--indirect-selection", "empty"))
    assert code == 0, said
    assert "arsing" not in calls.log, "it says nothing of parsing"
    assert outcomes(said) == {"seed.lending_library.books": "success"}


# --- what has changed is seen -------------------------------------------------------------------------------


def test_files_and_variables_that_changed_meanwhile_are_read_anew(calls: Calls) -> None:
    made_ready(calls.preparation())
    shelf = calls.library.project / "transformations" / "shelf.sql"
    shelf.write_text(shelf.read_text() + "\n-- looked at again\n")
    code, said = run(calls.call("build", "--select", "+shelf", unchanged=False, LIBRARY_FILE="elsewhere.duckdb"))
    assert code == 0, said
    assert "looked at again" in (calls.folder / "compiled/lending_library/transformations/shelf.sql").read_text()
    assert json.loads((calls.folder / "manifest.json").read_text())["metadata"]["project_name"] == "lending_library"
    assert (calls.library.project / "elsewhere.duckdb").exists()
    assert not calls.library.warehouse.exists()


def test_what_can_not_be_read_of_the_last_parse_is_parsed_in_full(calls: Calls) -> None:
    for folder in (calls.library.artifacts, calls.folder):
        (folder / "partial_parse.msgpack").write_bytes(b"not what dbt wrote")
    made_ready(calls.preparation())
    code, said = run(calls.call("build", "--select", "books", "--indirect-selection", "empty"))
    assert code == 0, said
    assert outcomes(said) == {"seed.lending_library.books": "success"}


# --- how it ends --------------------------------------------------------------------------------------------


def test_a_build_that_fails_says_of_what_and_ends_with_dbts_exit_code(calls: Calls) -> None:
    (calls.library.project / "transformations" / "broken.sql").write_text("select nothing from {{ ref('books') }}")
    code, said = run(calls.call("build", "--select", "books broken", "--indirect-selection", "empty", unchanged=False))
    assert code == 1
    assert outcomes(said) == {"seed.lending_library.books": "success", "model.lending_library.broken": "error"}
    assert "RunResultError" in said


@pytest.mark.parametrize("arguments", [("build", "--nonsense"), ("build", "--selector", "none_such")])
def test_what_dbt_can_not_begin_ends_with_its_own_exit_code_and_says_why(calls: Calls, arguments: list[str]) -> None:
    code, told = run(calls.call(*arguments))
    assert code == 2
    assert arguments[-1].strip("-") in told


@pytest.fixture
def slow(calls: Calls) -> Calls:
    """Give a project with a model that takes a minute, which reads one that takes no time."""
    (calls.library.project / "transformations" / "slow.sql").write_text(
        "select count(*) as n, (select count(*) from {{ ref('books') }}) as books "
        "from range(300000) a, range(3000000) b where a.range * b.range % 7 = 3"
    )
    (calls.library.project / "transformations" / "slow.yml").write_text(
        "models: [{name: slow, config: {materialized: table}}]"
    )
    return calls


def at_work(calls: Calls) -> subprocess.Popen[bytes]:
    """Start the slow build, and return when the warehouse is at work on its second node.

    An interrupt that comes between dbt's word of it and the query is lost, also with the dbt command: DuckDB takes
    one only while it works.
    """
    process = dbt_worker_pool.run(calls.call("build", "--select", "+slow", unchanged=False))
    assert process.stdout is not None
    for line in process.stdout:
        if b"LogStartLine" in line and b"slow" in line:
            before = ticks(process)
            while ticks(process) < before + 100:
                time.sleep(0.1)
            return process
    raise AssertionError(process.wait())


def test_a_signal_stops_dbt_cleanly_and_later_ones_change_nothing(slow: Calls) -> None:
    process = at_work(slow)
    process.send_signal(signal.SIGTERM)
    # Until it has ended: some of them arrive while dbt cleans up, others while Python shuts down.
    while process.poll() is None:
        for number in (signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
            time.sleep(0.002)
    code, said = ended(process)
    assert code == 2
    assert "Exited because of keyboard interrupt" in said
    with duckdb.connect(str(slow.library.warehouse), read_only=True) as connection:
        assert connection.execute("select count(*) > 0 from books").fetchall() == [(True,)]


def test_it_stops_when_nobody_is_left_who_wants_it(slow: Calls) -> None:
    process = at_work(slow)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=30) == 2
    assert process.stdout is not None
    process.stdout.close()


def test_while_it_waits_it_holds_no_warehouse_and_ends_with_its_input_or_at_a_signal(calls: Calls) -> None:
    first = made_ready(calls.preparation())
    duckdb.connect(str(calls.library.warehouse)).close()
    assert first.stdin is not None
    first.stdin.close()
    assert first.wait(timeout=10) == 0
    second = made_ready(calls.preparation())
    assert second.pid != first.pid
    second.send_signal(signal.SIGINT)
    assert second.wait(timeout=10) == 130
