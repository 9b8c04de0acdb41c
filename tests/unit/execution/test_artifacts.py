"""Which artifact folders of dbt are kept, with real folders of a given age."""

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


def fill_as_dbt(folder: Path, *, days_ago: float = 0.0) -> Path:
    """Write the files of a dbt invocation to a folder, with an age in days."""
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


def test_each_dbt_invocation_of_a_step_and_run_has_its_own_folder(tmp_path: Path) -> None:
    made = {
        folders(tmp_path, "one").make(1),
        folders(tmp_path, "one").make(2),
        folders(tmp_path, "two").make(1),
        RunFolders(tmp_path, "one", "dbt_hourly", 7.0).make(1),
    }
    assert len(made) == 4
    assert all(folder.is_dir() and folder.parent == tmp_path / "runs" for folder in made)


def test_a_successful_build_leaves_only_its_state_files(tmp_path: Path) -> None:
    build = folders(tmp_path)
    fill_as_dbt(build.make(1))
    fill_as_dbt(build.make(2))
    build.clear([1, 2])
    assert files(tmp_path) == {f"last/{name}/{file}" for name in ("dbt_nightly", "dbt_nightly-2") for file in STATE}
    assert not list((tmp_path / "runs").iterdir())


def test_with_all_kept_the_artifacts_stay_beside_the_state_files(tmp_path: Path) -> None:
    build = RunFolders(tmp_path, "new", "dbt_nightly", days=7.0, all_kept=True)
    fill_as_dbt(build.make(1))
    before = files(tmp_path)
    build.clear([1])
    assert files(tmp_path) == before | {f"last/dbt_nightly/{name}" for name in STATE}


@pytest.mark.parametrize("all_kept", [False, True])
def test_an_invocation_without_state_leaves_nothing_unless_all_are_kept(tmp_path: Path, *, all_kept: bool) -> None:
    start = RunFolders(tmp_path, "new", "docs", days=7.0, all_kept=all_kept)
    fill_as_dbt(start.make(1))
    before = files(tmp_path)
    start.delete(1)
    assert files(tmp_path) == (before if all_kept else set())


def test_the_last_successful_build_replaces_the_state_of_the_one_before(tmp_path: Path) -> None:
    for run_id in ("one", "two"):
        build = folders(tmp_path, run_id)
        (fill_as_dbt(build.make(1)) / "run_results.json").write_text(run_id)
        build.clear([1])
    assert (tmp_path / "last" / "dbt_nightly" / "run_results.json").read_text() == "two"


def test_a_build_without_results_keeps_the_earlier_state(tmp_path: Path) -> None:
    fill_as_dbt(folders(tmp_path, "one").make(1))
    folders(tmp_path, "one").clear([1])
    folders(tmp_path, "two").make(1)
    folders(tmp_path, "two").clear([1])
    assert files(tmp_path / "last" / "dbt_nightly") == set(STATE)


@pytest.mark.parametrize(("days_ago", "is_kept"), [(0.0, True), (1.9, True), (2.1, False), (400, False)])
def test_other_folders_are_kept_for_the_configured_days(tmp_path: Path, days_ago: float, *, is_kept: bool) -> None:
    failed = fill_as_dbt(tmp_path / "runs" / "failed-dbt_nightly", days_ago=days_ago)
    folders(tmp_path, days=2.0).delete_old()
    assert failed.exists() is is_kept


def test_a_folder_whose_log_is_still_written_is_not_deleted(tmp_path: Path) -> None:
    long = fill_as_dbt(tmp_path / "runs" / "long-dbt_nightly", days_ago=30)
    (long / "dbt.log").write_text("Concurrency: 4 threads")
    os.utime(long, (0, 0))
    folders(tmp_path).delete_old()
    assert long.exists()


def test_without_earlier_runs_nothing_is_deleted(tmp_path: Path) -> None:
    folders(tmp_path).delete_old()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "a_file").touch()
    folders(tmp_path).delete_old()
    assert files(tmp_path) == {"runs/a_file"}
