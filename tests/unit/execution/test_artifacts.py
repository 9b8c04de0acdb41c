"""What is kept of dbt's artifacts: in real folders, as old as the test makes them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from analytics_dagster.execution.artifacts import RunFolders

STATE = {"manifest.json": "{}", "run_results.json": "[]"}
DAY = 86_400


def folders(artifacts: Path, run_id: str = "new", days: float = 7.0) -> RunFolders:
    return RunFolders(artifacts, run_id, "dbt_nightly", days)


def left_by_dbt(folder: Path, *, days_ago: float = 0.0) -> Path:
    """Make a folder look as dbt leaves one, some days ago."""
    (folder / "compiled" / "shop").mkdir(parents=True)
    (folder / "compiled" / "shop" / "orders.sql").write_text("select 1")
    for name, content in {**STATE, "dbt.log": "Running with dbt"}.items():
        (folder / name).write_text(content)
    at = time.time() - days_ago * DAY
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (at, at))
    return folder


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_each_start_of_dbt_in_each_step_of_each_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    made = {
        folders(tmp_path, "one").make(1),
        folders(tmp_path, "one").make(2),
        folders(tmp_path, "two").make(1),
        RunFolders(tmp_path, "one", "dbt_hourly", 7.0).make(1),
    }
    assert len(made) == 4
    assert all(folder.is_dir() and folder.parent == tmp_path / "runs" for folder in made)


def test_of_a_build_that_ended_well_only_what_dbt_compares_with_is_left(tmp_path: Path) -> None:
    build = folders(tmp_path)
    left_by_dbt(build.make(1))
    left_by_dbt(build.make(2))
    build.clear([1, 2])
    assert files(tmp_path) == {f"last/{name}/{file}" for name in ("dbt_nightly", "dbt_nightly-2") for file in STATE}
    assert not list((tmp_path / "runs").iterdir())


def test_where_all_are_kept_it_is_all_there_beside_what_dbt_compares_with(tmp_path: Path) -> None:
    build = RunFolders(tmp_path, "new", "dbt_nightly", days=7.0, all_kept=True)
    left_by_dbt(build.make(1))
    before = files(tmp_path)
    build.clear([1])
    assert files(tmp_path) == before | {f"last/dbt_nightly/{name}" for name in STATE}


@pytest.mark.parametrize("all_kept", [False, True])
def test_of_a_start_that_is_no_build_nothing_is_left_unless_all_are_kept(tmp_path: Path, *, all_kept: bool) -> None:
    start = RunFolders(tmp_path, "new", "docs", days=7.0, all_kept=all_kept)
    left_by_dbt(start.make(1))
    before = files(tmp_path)
    start.delete(1)
    assert files(tmp_path) == (before if all_kept else set())


def test_the_last_build_that_ended_well_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    for run_id in ("one", "two"):
        build = folders(tmp_path, run_id)
        (left_by_dbt(build.make(1)) / "run_results.json").write_text(run_id)
        build.clear([1])
    assert (tmp_path / "last" / "dbt_nightly" / "run_results.json").read_text() == "two"


def test_a_build_that_left_no_results_takes_nothing_away(tmp_path: Path) -> None:
    left_by_dbt(folders(tmp_path, "one").make(1))
    folders(tmp_path, "one").clear([1])
    folders(tmp_path, "two").make(1)
    folders(tmp_path, "two").clear([1])
    assert files(tmp_path / "last" / "dbt_nightly") == set(STATE)


@pytest.mark.parametrize(("days_ago", "is_kept"), [(0.0, True), (1.9, True), (2.1, False), (400, False)])
def test_other_folders_are_kept_for_as_many_days_as_is_set(tmp_path: Path, days_ago: float, *, is_kept: bool) -> None:
    failed = left_by_dbt(tmp_path / "runs" / "failed-dbt_nightly", days_ago=days_ago)
    folders(tmp_path, days=2.0).delete_old()
    assert failed.exists() is is_kept


def test_a_folder_that_dbt_still_writes_its_log_into_is_not_old(tmp_path: Path) -> None:
    long = left_by_dbt(tmp_path / "runs" / "long-dbt_nightly", days_ago=30)
    (long / "dbt.log").write_text("Concurrency: 4 threads")
    os.utime(long, (0, 0))
    folders(tmp_path).delete_old()
    assert long.exists()


def test_where_nothing_was_run_there_is_nothing_to_delete(tmp_path: Path) -> None:
    folders(tmp_path).delete_old()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "a_file").touch()
    folders(tmp_path).delete_old()
    assert files(tmp_path) == {"runs/a_file"}
