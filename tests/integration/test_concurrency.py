"""Several processes and one DuckDB file: none fails, no row is lost, waits are logged, and dead runs hold no slot."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import duckdb
import psutil
import pytest

from analytics_dagster.execution.executor import EXCLUSIVE
from analytics_dagster.process_identity import CHILD_TAG, Process
from analytics_dagster.warehouse import POOL
from tests.conftest import COMMAND, Library, Preparation
from tests.integration.ui import Ui, free_port, opened
from tests.processes import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

ROUNDS = int(os.environ.get("CONCURRENCY_ROUNDS", "1"))
"""How often each test starts two processes on one file at the same time."""

STATUS = dg.DagsterRunStatus
OPENING, CLOSING = "opening_time", "closing_time"

# One row per run, so that a lost row shows.
VISITS = "{{ config(materialized='incremental') }} select '{{ invocation_id }}' as run, now() as at"

# A model that blocks until the file `go` exists.
SLOW = """
import os
import time
from pathlib import Path


def model(dbt, session):
    dbt.config(materialized="table")
    folder = Path(os.environ["LIBRARY_FOLDER"])
    (folder / "in").touch()
    while not (folder / "go").exists():
        time.sleep(0.05)
    return session.sql("select 1 as one")
"""


@dataclass(frozen=True)
class LibraryHome:
    """The lending library with a model that blocks, and in each group a model that gains one row per run."""

    library: Library

    @property
    def home(self) -> Path:
        """The Dagster home."""
        return self.library.folder / "home"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the location and of the blocking model."""
        return {**self.library.environment, "LIBRARY_FOLDER": str(self.library.folder)}

    @contextmanager
    def start(self, *groups: str, **others: str) -> Iterator[subprocess.Popen[str]]:
        """Start a build of groups; kill it if the test fails."""
        options = [option for group in groups for option in ("--group", group)]
        with self.library.start("build", *options, **{**self.environment, **others}) as process:
            try:
                yield process
            except BaseException:
                self.go_on()
                process.kill()
                raise

    def build(self, *groups: str) -> None:
        """Build groups, and wait for the end."""
        with self.start(*groups) as process:
            said = process.communicate(timeout=900)
        assert process.returncode == 0, said

    def rows(self, table: str) -> int:
        """Return how many rows a table has."""
        with duckdb.connect(str(self.library.warehouse), read_only=True) as connection:
            [row] = connection.execute(f"select count(*) from {table}").fetchall()  # noqa: S608
        return int(row[0])

    def block(self) -> None:
        """Make the next build of the opening group block."""
        for name in ("in", "go"):
            (self.library.folder / name).unlink(missing_ok=True)

    def wait_until_blocked(self) -> None:
        """Wait until a build blocks."""
        wait_for("dbt is in the slow model", (self.library.folder / "in").exists, 180)

    def go_on(self) -> None:
        """Let the blocked build continue."""
        (self.library.folder / "go").touch()

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Open Dagster's instance."""
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            yield instance

    def runs(self) -> list[dg.DagsterRun]:
        """Return all runs, oldest first."""
        if not self.home.exists():
            return []
        with self.instance() as instance:
            return list(reversed(instance.get_runs()))

    def log_messages(self, run_id: str) -> list[str]:
        """Return the log messages of a run, without Dagster's events."""
        with self.instance() as instance:
            return [entry.user_message for entry in instance.all_logs(run_id) if entry.dagster_event is None]

    def holders(self, key: str) -> tuple[set[str], set[str]]:
        """Return the runs that hold a slot of a key, and those that are in its queue."""
        with self.instance() as instance:
            info = instance.event_log_storage.get_concurrency_info(key)
        return {slot.run_id for slot in info.claimed_slots}, {step.run_id for step in info.pending_steps}

    def wait_until_logged(self, group: str, words: str) -> str:
        """Wait until the newest run of a group logs a message with these words; return the message."""

        def found() -> str | None:
            runs = [run for run in self.runs() if run.job_name == group]
            lines = [line for line in self.log_messages(runs[-1].run_id) if words in line] if runs else []
            return lines[0] if lines else None

        return str(wait_for(f"a run says {words!r}", found, 180))


@pytest.fixture(scope="module")
def built(
    preparation: Preparation,
    copy_prepared: Callable[[Library, Path], Library],
    tmp_path_factory: pytest.TempPathFactory,
) -> Library:
    """Build the library once. Tests copy it."""
    library = copy_prepared(preparation.library, tmp_path_factory.mktemp("built"))
    models = library.project / "transformations"
    (models / "opening_visits.sql").write_text(VISITS)
    (models / "circulation" / "closing_visits.sql").write_text(VISITS)
    (models / "slow.py").write_text(SLOW)
    library_home = LibraryHome(library)
    library_home.go_on()
    library_home.build(OPENING, CLOSING)
    return library


@pytest.fixture
def library_home(built: Library, copy_prepared: Callable[[Library, Path], Library], tmp_path: Path) -> LibraryHome:
    """Return a built copy in a home without runs, in which nothing blocks yet."""
    library_home = LibraryHome(copy_prepared(built, tmp_path))
    library_home.go_on()
    return library_home


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, out + err
    return out


def overlap(instance: dg.DagsterInstance, runs: Sequence[str]) -> bool:
    """Return whether the steps of two runs overlapped in time."""
    spans = [(stats.start_time, stats.end_time) for run in runs for stats in instance.get_run_step_stats(run)]
    (one_start, one_end), (other_start, other_end) = spans
    assert one_start is not None
    assert one_end is not None
    assert other_start is not None
    assert other_end is not None
    return one_start < other_end and other_start < one_end


# --- simultaneous builds ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("groups", "homes"),
    [
        ((OPENING, CLOSING), 1),
        pytest.param((OPENING, OPENING), 1, marks=pytest.mark.thorough),
        pytest.param((OPENING, CLOSING), 2, marks=pytest.mark.thorough),
    ],
)
def test_two_simultaneous_builds_succeed_lose_no_row_and_log_the_wait(
    library_home: LibraryHome, groups: tuple[str, str], homes: int
) -> None:
    before = {group: library_home.rows(visits(group)) for group in groups}
    for _ in range(ROUNDS):
        known = {run.run_id for run in library_home.runs()}
        # Two homes do not share pools: only the lock of the file separates them.
        elsewhere = str(library_home.library.folder / "another_home") if homes > 1 else str(library_home.home)
        with library_home.start(groups[0]) as one, library_home.start(groups[1], DAGSTER_HOME=elsewhere) as other:
            said = ended(one) + ended(other)
        assert re.search(r"waits for dbt_|waiting for the warehouse", said), said
        runs = [run.run_id for run in library_home.runs() if run.run_id not in known]
        assert len(runs) == (1 if homes > 1 else 2)
        if homes == 1:
            with library_home.instance() as instance:
                assert not overlap(instance, runs)
    for group in set(groups):
        assert library_home.rows(visits(group)) == before[group] + ROUNDS * groups.count(group)
    assert {run.status for run in library_home.runs()} == {STATUS.SUCCESS}


def visits(group: str) -> str:
    return "opening_visits" if group == OPENING else "main_circulation.closing_visits"


@pytest.mark.thorough
def test_a_group_never_overlaps_with_itself_even_if_the_pool_has_slots(library_home: LibraryHome) -> None:
    library_home.block()
    with library_home.start(OPENING) as first:
        library_home.wait_until_blocked()
        with library_home.instance() as instance:
            instance.event_log_storage.set_concurrency_slots(POOL, 4)
        with library_home.start(OPENING) as second, library_home.start(CLOSING) as other:
            assert library_home.wait_until_logged(OPENING, "waits for dbt_opening_time of run")
            told = library_home.wait_until_logged(CLOSING, "waiting for the warehouse")
            holder = f"{Process.of(first.pid)} (run {library_home.runs()[0].run_id[:8]} of opening_time)"
            assert told == f"waiting for the warehouse {library_home.library.warehouse}, which {holder} holds"
            library_home.go_on()
            for process in (first, second, other):
                ended(process)
    opening = [run.run_id for run in library_home.runs() if run.job_name == OPENING]
    with library_home.instance() as instance:
        assert not overlap(instance, opening)
        assert {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}[POOL] == 4
    assert library_home.holders(POOL) == library_home.holders(f"{EXCLUSIVE}dbt_opening_time") == (set(), set())


# --- killed and interrupted builds --------------------------------------------------------------------------


@pytest.mark.thorough
def test_a_waiting_build_lets_the_dbt_of_a_killed_build_end_and_goes_on(
    library_home: LibraryHome,
) -> None:
    library_home.block()
    with library_home.start(OPENING) as killed:
        library_home.wait_until_blocked()
        with library_home.start(CLOSING) as other:
            told = library_home.wait_until_logged(CLOSING, "waits for")
            first = library_home.runs()[0]
            where = Process.of(killed.pid)
            assert told == (
                f"dbt_closing_time waits for dbt_opening_time of run {first.run_id[:8]} of opening_time "
                f"({where} executes it)"
            )
            before = psutil.Process(other.pid).cpu_times()
            time.sleep(5)
            after = psutil.Process(other.pid).cpu_times()
            assert (after.user + after.system) - (before.user + before.system) < 1.5
            killed.kill()
            killed.wait()
            dbt = Process.from_text(first.tags[CHILD_TAG].partition(" of run ")[0])
            assert dbt is not None
            time.sleep(12)
            assert dbt.liveness.value == "alive"
            assert [run.status for run in library_home.runs()] == [STATUS.STARTED, STATUS.STARTED]
            library_home.go_on()
            said = ended(other)
    assert [run.status for run in library_home.runs()] == [STATUS.FAILURE, STATUS.SUCCESS]
    assert f"run {first.run_id[:8]} of opening_time is dead: {where}, which executed it, has ended" in said
    assert library_home.rows(visits(CLOSING)) == 2


def test_ctrl_c_ends_a_waiting_build_within_seconds_and_leaves_no_slot(library_home: LibraryHome) -> None:
    library_home.block()
    with library_home.start(OPENING) as first:
        library_home.wait_until_blocked()
        with library_home.start(OPENING, CLOSING) as other:
            library_home.wait_until_logged(OPENING, "waits for")
            started = time.monotonic()
            other.send_signal(signal.SIGINT)
            out, err = other.communicate(timeout=60)
            assert time.monotonic() - started < 20
        assert other.returncode == 1, out + err
        assert "canceled" in out
        assert "not started: interrupted" in out
        assert [run.status for run in library_home.runs()] == [STATUS.STARTED, STATUS.CANCELED]
        holder = library_home.runs()[0].run_id
        assert library_home.holders(POOL) == ({holder}, {holder})
        library_home.go_on()
        ended(first)
    assert library_home.holders(POOL) == (set(), set())


@pytest.mark.thorough
def test_ctrl_c_in_a_build_cancels_it_and_ends_its_dbt(library_home: LibraryHome) -> None:
    library_home.block()
    with library_home.start(OPENING) as build:
        library_home.wait_until_blocked()
        [dbt] = [child for child in psutil.Process(build.pid).children() if "dbt" in " ".join(child.cmdline())]
        build.send_signal(signal.SIGINT)
        out, err = build.communicate(timeout=120)
    assert build.returncode == 1, out + err
    assert library_home.runs()[-1].status is STATUS.CANCELED
    assert not dbt.is_running()
    assert library_home.holders(POOL) == (set(), set())
    library_home.go_on()
    library_home.build(OPENING)


# --- the UI -------------------------------------------------------------------------------------------------


@contextmanager
def dev(library_home: LibraryHome, log: Path) -> Iterator[Ui]:
    """Open the UI, and kill all its processes at the end."""
    port = free_port()
    with opened(
        [COMMAND, "dev", "--port", str(port)],
        port=port,
        environment={**os.environ, **library_home.environment},
        folder=library_home.library.folder,
        log=log,
    ) as ui:
        try:
            yield ui
        finally:
            os.killpg(ui.process.pid, signal.SIGKILL)


@pytest.mark.thorough
def test_the_next_start_of_a_killed_ui_fails_its_run_and_a_home_opens_once(
    library_home: LibraryHome, tmp_path: Path
) -> None:
    log = tmp_path / "dev.log"
    library_home.block()
    with dev(library_home, log) as ui:
        ui.launch(OPENING)
        library_home.wait_until_blocked()
        second = library_home.library.run("dev", "--port", str(free_port()))
        assert second.returncode == 2
        assert f"HomeError: Dagster's home {library_home.home} is already open" in second.stderr
        assert f"runs as {Process.of(ui.process.pid)}" in second.stderr
    left = library_home.runs()[-1]
    assert left.status is STATUS.STARTED
    assert library_home.holders(POOL)[0] == {left.run_id}
    with dev(library_home, log):
        wait_for(
            "the run is failed", lambda: f"Run {left.run_id} of opening_time was marked as failed" in log.read_text()
        )
        assert library_home.runs()[-1].status is STATUS.FAILURE
        assert library_home.holders(POOL) == (set(), set())
