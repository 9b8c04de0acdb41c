"""Several processes and one DuckDB file: none fails, no row is lost, who waits says so, and the dead hold nothing."""

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
"""How often two processes are set on one file at the same moment, in each of the ways."""

STATUS = dg.DagsterRunStatus
OPENING, CLOSING = "opening_time", "closing_time"

# A row a run, from either group: a lost one is missed.
VISITS = "{{ config(materialized='incremental') }} select '{{ invocation_id }}' as run, now() as at"

# dbt itself waits in the middle of a build until it is told to go on.
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
class Site:
    """The lending library with a model that waits to be told to go on, and one that gains a row a run in each group."""

    library: Library

    @property
    def home(self) -> Path:
        """Dagster's home."""
        return self.library.folder / "home"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point the location, and the slow model, at it."""
        return {**self.library.environment, "LIBRARY_FOLDER": str(self.library.folder)}

    @contextmanager
    def start(self, *groups: str, **others: str) -> Iterator[subprocess.Popen[str]]:
        """Start a build of groups; where the test fails meanwhile, nothing is waited for."""
        options = [option for group in groups for option in ("--group", group)]
        with self.library.start("build", *options, **{**self.environment, **others}) as process:
            try:
                yield process
            except BaseException:
                self.go_on()
                process.kill()
                raise

    def build(self, *groups: str) -> None:
        """Build groups to the end."""
        with self.start(*groups) as process:
            said = process.communicate(timeout=900)
        assert process.returncode == 0, said

    def rows(self, table: str) -> int:
        """Return how many rows a table has."""
        with duckdb.connect(str(self.library.warehouse), read_only=True) as connection:
            [row] = connection.execute(f"select count(*) from {table}").fetchall()  # noqa: S608
        return int(row[0])

    def hold_up(self) -> None:
        """Let the next build of the opening group stop in the middle."""
        for name in ("in", "go"):
            (self.library.folder / name).unlink(missing_ok=True)

    def wait_until_held_up(self) -> None:
        """Wait until a build has stopped in the middle."""
        wait_for("dbt is in the slow model", (self.library.folder / "in").exists, 180)

    def go_on(self) -> None:
        """Let it go on."""
        (self.library.folder / "go").touch()

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Open Dagster's instance."""
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            yield instance

    def runs(self) -> list[dg.DagsterRun]:
        """Return all runs, the oldest first."""
        if not self.home.exists():
            return []
        with self.instance() as instance:
            return list(reversed(instance.get_runs()))

    def told(self, run_id: str) -> list[str]:
        """Return what was logged in a run, but for Dagster's own events."""
        with self.instance() as instance:
            return [entry.user_message for entry in instance.all_logs(run_id) if entry.dagster_event is None]

    def holders(self, key: str) -> tuple[set[str], set[str]]:
        """Return the runs that hold a slot, and those that stand in its line."""
        with self.instance() as instance:
            info = instance.event_log_storage.get_concurrency_info(key)
        return {slot.run_id for slot in info.claimed_slots}, {step.run_id for step in info.pending_steps}

    def wait_until_told(self, group: str, words: str) -> str:
        """Wait until the newest run of a group says something in its log; return the line."""

        def found() -> str | None:
            runs = [run for run in self.runs() if run.job_name == group]
            lines = [line for line in self.told(runs[-1].run_id) if words in line] if runs else []
            return lines[0] if lines else None

        return str(wait_for(f"a run says {words!r}", found, 180))


@pytest.fixture(scope="module")
def built(
    preparation: Preparation,
    copy_prepared: Callable[[Library, Path], Library],
    tmp_path_factory: pytest.TempPathFactory,
) -> Library:
    """Build the library once: nobody may change it."""
    library = copy_prepared(preparation.library, tmp_path_factory.mktemp("built"))
    models = library.project / "transformations"
    (models / "opening_visits.sql").write_text(VISITS)
    (models / "circulation" / "closing_visits.sql").write_text(VISITS)
    (models / "slow.py").write_text(SLOW)
    site = Site(library)
    site.go_on()
    site.build(OPENING, CLOSING)
    return library


@pytest.fixture
def site(built: Library, copy_prepared: Callable[[Library, Path], Library], tmp_path: Path) -> Site:
    """Give a built copy of one's own, in a home without a run; nothing in it is slow yet."""
    site = Site(copy_prepared(built, tmp_path))
    site.go_on()
    return site


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, out + err
    return out


def overlap(instance: dg.DagsterInstance, runs: Sequence[str]) -> bool:
    """Return whether the steps of two runs were at work at the same moment."""
    spans = [(stats.start_time, stats.end_time) for run in runs for stats in instance.get_run_step_stats(run)]
    (one_start, one_end), (other_start, other_end) = spans
    assert one_start is not None
    assert one_end is not None
    assert other_start is not None
    assert other_end is not None
    return one_start < other_end and other_start < one_end


# --- at the same moment -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("groups", "homes"),
    [
        ((OPENING, CLOSING), 1),
        pytest.param((OPENING, OPENING), 1, marks=pytest.mark.thorough),
        pytest.param((OPENING, CLOSING), 2, marks=pytest.mark.thorough),
    ],
)
def test_two_builds_at_the_same_moment_succeed_lose_nothing_and_one_says_for_whom_it_waits(
    site: Site, groups: tuple[str, str], homes: int
) -> None:
    before = {group: site.rows(visits(group)) for group in groups}
    for _ in range(ROUNDS):
        known = {run.run_id for run in site.runs()}
        # Two homes know nothing of one another's pools: there the file's own lock alone keeps them apart.
        elsewhere = str(site.library.folder / "another_home") if homes > 1 else str(site.home)
        with site.start(groups[0]) as one, site.start(groups[1], DAGSTER_HOME=elsewhere) as other:
            said = ended(one) + ended(other)
        assert re.search(r"waits for dbt_|waiting for the warehouse", said), said
        runs = [run.run_id for run in site.runs() if run.run_id not in known]
        assert len(runs) == (1 if homes > 1 else 2)
        if homes == 1:
            with site.instance() as instance:
                assert not overlap(instance, runs)
    for group in set(groups):
        assert site.rows(visits(group)) == before[group] + ROUNDS * groups.count(group)
    assert {run.status for run in site.runs()} == {STATUS.SUCCESS}


def visits(group: str) -> str:
    return "opening_visits" if group == OPENING else "main_circulation.closing_visits"


@pytest.mark.thorough
def test_where_the_pool_has_room_a_group_still_never_meets_itself_and_another_waits_for_the_file(site: Site) -> None:
    site.hold_up()
    with site.start(OPENING) as first:
        site.wait_until_held_up()
        with site.instance() as instance:
            instance.event_log_storage.set_concurrency_slots(POOL, 4)
        with site.start(OPENING) as second, site.start(CLOSING) as other:
            assert site.wait_until_told(OPENING, "waits for dbt_opening_time of run")
            told = site.wait_until_told(CLOSING, "waiting for the warehouse")
            holder = f"{Process.of(first.pid)} (run {site.runs()[0].run_id[:8]} of opening_time)"
            assert told == f"waiting for the warehouse {site.library.warehouse}, which {holder} holds"
            site.go_on()
            for process in (first, second, other):
                ended(process)
    opening = [run.run_id for run in site.runs() if run.job_name == OPENING]
    with site.instance() as instance:
        assert not overlap(instance, opening)
        assert {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}[POOL] == 4
    assert site.holders(POOL) == site.holders(f"{EXCLUSIVE}dbt_opening_time") == (set(), set())


# --- the end of one -----------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_when_the_worker_is_killed_the_one_that_waits_lets_its_dbt_end_marks_it_as_failed_and_goes_on(
    site: Site,
) -> None:
    site.hold_up()
    with site.start(OPENING) as killed:
        site.wait_until_held_up()
        with site.start(CLOSING) as other:
            told = site.wait_until_told(CLOSING, "waits for")
            first = site.runs()[0]
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
            assert [run.status for run in site.runs()] == [STATUS.STARTED, STATUS.STARTED]
            site.go_on()
            said = ended(other)
    assert [run.status for run in site.runs()] == [STATUS.FAILURE, STATUS.SUCCESS]
    assert f"run {first.run_id[:8]} of opening_time is dead: {where}, which executed it, has ended" in said
    assert site.rows(visits(CLOSING)) == 2


def test_ctrl_c_ends_one_that_waits_within_seconds_and_leaves_no_slot(site: Site) -> None:
    site.hold_up()
    with site.start(OPENING) as first:
        site.wait_until_held_up()
        with site.start(OPENING, CLOSING) as other:
            site.wait_until_told(OPENING, "waits for")
            started = time.monotonic()
            other.send_signal(signal.SIGINT)
            out, err = other.communicate(timeout=60)
            assert time.monotonic() - started < 20
        assert other.returncode == 1, out + err
        assert "canceled" in out
        assert "not started: interrupted" in out
        assert [run.status for run in site.runs()] == [STATUS.STARTED, STATUS.CANCELED]
        holder = site.runs()[0].run_id
        assert site.holders(POOL) == ({holder}, {holder})
        site.go_on()
        ended(first)
    assert site.holders(POOL) == (set(), set())


@pytest.mark.thorough
def test_ctrl_c_in_a_build_cancels_it_and_ends_its_dbt(site: Site) -> None:
    site.hold_up()
    with site.start(OPENING) as build:
        site.wait_until_held_up()
        [dbt] = [child for child in psutil.Process(build.pid).children() if "dbt" in " ".join(child.cmdline())]
        build.send_signal(signal.SIGINT)
        out, err = build.communicate(timeout=120)
    assert build.returncode == 1, out + err
    assert site.runs()[-1].status is STATUS.CANCELED
    assert not dbt.is_running()
    assert site.holders(POOL) == (set(), set())
    site.go_on()
    site.build(OPENING)


# --- the UI -------------------------------------------------------------------------------------------------


@contextmanager
def dev(site: Site, log: Path) -> Iterator[Ui]:
    """Open the UI, and kill all of it."""
    port = free_port()
    with opened(
        [COMMAND, "dev", "--port", str(port)],
        port=port,
        environment={**os.environ, **site.environment},
        folder=site.library.folder,
        log=log,
    ) as ui:
        try:
            yield ui
        finally:
            os.killpg(ui.process.pid, signal.SIGKILL)


@pytest.mark.thorough
def test_after_the_ui_was_killed_its_next_start_fails_the_run_that_it_left_and_no_two_open_one_home(
    site: Site, tmp_path: Path
) -> None:
    log = tmp_path / "dev.log"
    site.hold_up()
    with dev(site, log) as ui:
        ui.launch(OPENING)
        site.wait_until_held_up()
        second = site.library.run("dev", "--port", str(free_port()))
        assert second.returncode == 2
        assert f"HomeError: Dagster's home {site.home} is open already" in second.stderr
        assert f"runs as {Process.of(ui.process.pid)}" in second.stderr
    left = site.runs()[-1]
    assert left.status is STATUS.STARTED
    assert site.holders(POOL)[0] == {left.run_id}
    with dev(site, log):
        wait_for(
            "the run is failed", lambda: f"Run {left.run_id} of opening_time was marked as failed" in log.read_text()
        )
        assert site.runs()[-1].status is STATUS.FAILURE
        assert site.holders(POOL) == (set(), set())
