"""Another dbt project than the bundled one: built, broken, killed and built again with our command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import duckdb
import pytest

from analytics_dagster.location import build_location, prepare_location
from analytics_dagster.project.files import SHOP_VARIABLE

if TYPE_CHECKING:
    from tests.conftest import Library, Preparation

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).resolve().parents[2]
NODES = {"books", "loans", "shelf", "book_history", "circulation/members", "circulation/late_returns"}
TABLES = {
    ("main", "books"): 3,
    ("main", "loans"): 4,
    ("main", "shelf"): 3,
    ("main", "book_history"): 3,
    ("main_circulation", "members"): 3,
    ("main_circulation", "late_returns"): 1,
}
CHECKS = {
    "seeded/loans: source_not_null_seeded_loans_loan_id",
    "shelf: unique_shelf_isbn",
    "shelf: not_null_shelf_isbn",
    "shelf: no_book_is_lent_more_often_than_it_has_copies",
    "loans: unique_returned_loans_loan_id",
    "circulation/members: unique_members_member",
    "circulation/members: not_null_members_member",
    "circulation/late_returns: relationships_late_returns_member__member__ref_members_",
}


@contextmanager
def instance_of(library: Library) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(library.folder / "home")) as instance:
        yield instance


def runs_of(library: Library) -> list[tuple[str, dg.DagsterRunStatus]]:
    """Return each run's job and status, oldest first."""
    with instance_of(library) as instance:
        return [(run.job_name, run.status) for run in reversed(instance.get_runs())]


def events_of(library: Library, kind: dg.DagsterEventType, *, last: int) -> Counter[str]:
    """Count the events of the last runs by asset or check."""
    found: Counter[str] = Counter()
    with instance_of(library) as instance:
        for run in instance.get_runs(limit=last):
            for record in instance.get_records_for_run(run.run_id, of_type=kind).records:
                event = record.event_log_entry.dagster_event
                assert event is not None
                if kind is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                    check = event.asset_check_evaluation_data
                    found[f"{check.asset_key.to_user_string()}: {check.check_name}"] += 1
                else:
                    assert event.asset_key is not None
                    found[event.asset_key.to_user_string()] += 1
    return found


def materialized(library: Library, *, last: int) -> Counter[str]:
    return events_of(library, dg.DagsterEventType.ASSET_MATERIALIZATION, last=last)


def checked(library: Library, *, last: int) -> Counter[str]:
    return events_of(library, dg.DagsterEventType.ASSET_CHECK_EVALUATION, last=last)


def rows_of(library: Library) -> dict[tuple[str, str], int]:
    """Return the number of rows of each table and view of the warehouse, by schema and name."""
    with duckdb.connect(str(library.warehouse), read_only=True) as connection:
        named = connection.execute("select table_schema, table_name from information_schema.tables").fetchall()
        return {
            (schema, name): len(connection.execute(f'from "{schema}"."{name}"').fetchall()) for schema, name in named
        }


def once(names: set[str]) -> dict[str, int]:
    return dict.fromkeys(names, 1)


def line_of(text: str, asset: str) -> str:
    """Return the line of an asset in the summary."""
    (line,) = [line for line in text.splitlines() if line.strip().startswith((f"{asset} ", f"{asset}("))]
    return line


Move = Callable[["Library", Path], "Library"]


@pytest.fixture(scope="module")
def first(
    preparation: Preparation, copy_prepared: Move, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Library, subprocess.CompletedProcess[str]]:
    """Return the library after its first build, and the command's output. Do not change it; see `built`."""
    library = copy_prepared(preparation.library, tmp_path_factory.mktemp("built"))
    return library, library.run("build")


@pytest.fixture
def built(first: tuple[Library, object], copy_prepared: Move, tmp_path: Path) -> Library:
    """Return a copy of the library after its first build."""
    return copy_prepared(first[0], tmp_path)


# --- built --------------------------------------------------------------------------------------------------


def test_every_node_is_built_once_and_every_test_is_a_check(
    first: tuple[Library, subprocess.CompletedProcess[str]],
) -> None:
    library, done = first
    assert done.returncode == 0, done.stdout + done.stderr
    assert rows_of(library) == TABLES
    assert runs_of(library) == [
        ("opening_time", dg.DagsterRunStatus.SUCCESS),
        ("closing_time", dg.DagsterRunStatus.SUCCESS),
    ]
    assert materialized(library, last=2) == once(NODES)
    assert checked(library, last=2) == once(CHECKS)
    assert not events_of(library, dg.DagsterEventType.ASSET_OBSERVATION, last=2)


def test_the_summary_has_each_asset_and_the_totals(
    first: tuple[Library, subprocess.CompletedProcess[str]],
) -> None:
    text = first[1].stdout
    for asset in [*NODES, "seeded/loans"]:
        assert line_of(text, asset)
    assert line_of(text, "shelf").split()[:3] == ["shelf", "opening_time", "3"]
    assert "7 assets" in text
    assert "not built" not in text
    assert "dbt_opening_time started" in text, "the output shows progress"


def test_a_build_leaves_no_more_files_in_the_project_than_dbt(
    first: tuple[Library, subprocess.CompletedProcess[str]],
) -> None:
    ours = {"target", "dbt_packages", "package-lock.yml", "library.duckdb", "library.duckdb.lock"}
    original = {path.name for path in (REPOSITORY / "tests" / "projects" / "lending_library").iterdir()}
    assert {path.name for path in first[0].project.iterdir()} - original - ours == set()


@pytest.mark.thorough
def test_a_second_build_results_in_the_same_state(built: Library) -> None:
    done = built.run("build")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Preparing" not in done.stdout
    assert rows_of(built) == TABLES
    assert materialized(built, last=2) == once(NODES)
    assert checked(built, last=2) == once(CHECKS)


# --- broken -------------------------------------------------------------------------------------------------


def test_a_broken_model_is_reported_and_the_others_are_built(built: Library) -> None:
    (built.project / "transformations" / "circulation" / "members.sql").write_text(
        "{{ config(materialized='table') }} select no_such_column from {{ ref('loans') }}"
    )
    done = built.run("build", "--group", "closing_time")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "circulation/members (not built)" in done.stdout
    assert "no_such_column" in done.stdout, "dbt's own message says why"
    assert "closing_time failed" in done.stdout
    assert "Traceback" not in done.stderr
    assert materialized(built, last=1) == once({"circulation/late_returns"})
    assert runs_of(built) == [("closing_time", dg.DagsterRunStatus.FAILURE)]


def test_a_failed_data_test_blocks_downstream_models(built: Library) -> None:
    circulation = built.project / "transformations" / "circulation"
    # One member per loan is not unique; models that read the members must not be built.
    (circulation / "members.sql").write_text("select member, 1 as loans from {{ ref('loans') }}")
    (circulation / "regulars.sql").write_text("select * from {{ ref('members') }} where loans > 1")
    done = built.run("build", "--group", "closing_time")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "circulation/regulars (not built)" in done.stdout
    assert "unique_members_member" in done.stdout
    assert line_of(done.stdout, "circulation/members").split()[-2:] == ["1", "1"], "one check passed, one failed"
    assert materialized(built, last=1) == once({"circulation/members", "circulation/late_returns"})
    assert ("main_circulation", "regulars") not in rows_of(built)


# --- killed -------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_the_build_after_a_killed_one_marks_it_as_failed_and_builds_all(
    preparation: Preparation, copy_prepared: Move, tmp_path: Path
) -> None:
    library = copy_prepared(preparation.library, tmp_path)
    with library.start("build") as process:
        assert process.stdout is not None
        assert any("dbt_opening_time started" in line for line in process.stdout)
        # dbt is another process, which may continue and hold the warehouse for a while.
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert runs_of(library) == [("opening_time", dg.DagsterRunStatus.STARTED)]
    done = library.run("build")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "was marked as failed" in done.stdout
    assert runs_of(library) == [
        ("opening_time", dg.DagsterRunStatus.FAILURE),
        ("opening_time", dg.DagsterRunStatus.SUCCESS),
        ("closing_time", dg.DagsterRunStatus.SUCCESS),
    ]
    assert rows_of(library) == TABLES


# --- Dagster's own commands ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["dagster", "definitions", "validate"], "All code locations passed validation"),
        (["dg", "check", "defs"], "All definitions loaded successfully"),
        (["dg", "list", "defs", "--json"], "circulation/late_returns"),
    ],
)
def test_dagsters_commands_work_with_another_project(
    preparation: Preparation, tmp_path: Path, command: list[str], told: str
) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name(command[0]), *command[1:]],
        env={
            **os.environ,
            **preparation.library.environment,
            "DAGSTER_HOME": str(tmp_path),
            "DAGSTER_DISABLE_TELEMETRY": "1",
        },
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert told in done.stdout + done.stderr


@pytest.mark.parametrize("is_shop", [False, True])
def test_only_the_bundled_shop_has_the_shops_python_assets(library: Library, *, is_shop: bool) -> None:
    # Other projects have models of the same name too; the shop's export of it must not run there.
    (library.project / "transformations" / "daily_sales.sql").write_text("select 1 as day", encoding="utf-8")
    if is_shop:
        configuration = library.project / "dbt_project.yml"
        text = configuration.read_text(encoding="utf-8")
        assert "\nvars:" not in text
        configuration.write_text(f"{text}\nvars: {{{SHOP_VARIABLE}: true}}\n", encoding="utf-8")
    settings = library.settings()
    prepare_location(settings, print)
    location = build_location(settings)
    keys = {key.to_user_string() for key in location.definitions.resolve_asset_graph().get_all_asset_keys()}
    assert "daily_sales" in keys
    assert ("consumers/daily_sales_export" in keys) is is_shop
