"""The kinds of warehouses: the number of writers, and the path of a DuckDB file."""

from __future__ import annotations

from pathlib import Path

import pytest

from analytics_dagster.errors import SettingsError
from analytics_dagster.project.profile import Target
from analytics_dagster.settings import Settings
from analytics_dagster.warehouse import (
    Kind,
    count_writers,
    duckdb_path,
    kind_of,
)

pytestmark = pytest.mark.slow


def target(adapter: str = "duckdb", **credentials: object) -> Target:
    return Target("p", "one", adapter, Path("unused"), credentials)


@pytest.mark.parametrize(
    ("of", "asked", "expected"),
    [
        (target(path="w.duckdb"), None, 1),
        (target(path="w.duckdb"), 1, 1),
        (target(path="ducklake:postgres:host=db"), None, 1),
        (target(path=":memory:", database="lake", attach=[{"path": "ducklake:postgres:", "alias": "lake"}]), None, 1),
        (target(path="md:shop"), 3, 3),
        (target("postgres"), None, 4),
        (target("postgres"), 2, 2),
    ],
)
def test_a_duckdb_file_has_one_writer_and_others_follow_the_setting(
    of: Target, asked: int | None, expected: int
) -> None:
    assert count_writers(Settings(warehouse_writers=asked), of) == expected


def test_several_writers_of_a_duckdb_file_are_an_error_with_the_reason() -> None:
    with pytest.raises(SettingsError) as raised:
        count_writers(Settings(warehouse_writers=2, dbt_project_dir=Path("/project")), target(path="w.duckdb"))
    assert "ANALYTICS_WAREHOUSE_WRITERS is 2" in raised.value.problem
    assert "DuckDB file /project/w.duckdb, which one process can write to at a time" in raised.value.problem


def test_several_writers_of_a_ducklake_are_an_error_with_the_reason() -> None:
    lake = target(path=":memory:", database="lake", attach=[{"path": "ducklake:postgres:", "alias": "lake"}])
    with pytest.raises(SettingsError, match="a DuckLake, which one dbt run can write to at a time"):
        count_writers(Settings(warehouse_writers=2), lake)
    # One that is attached beside the database of the target is read at most.
    beside = target(path="w.duckdb", attach=[{"path": "ducklake:postgres:", "alias": "lake"}])
    assert kind_of(beside) is Kind.FILE


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (target(path="w.duckdb"), "/project/w.duckdb"),
        (target(path="../data/w.duckdb"), "/data/w.duckdb"),
        (target(path="/elsewhere/w.duckdb"), "/elsewhere/w.duckdb"),
        (target(path=":memory:"), None),
        (target(path="md:shop"), None),
        (target(path="ducklake:postgres:host=db"), None),
        (target(path="s3://bucket/w.duckdb"), None),
        (target(), None),
        (target("postgres", path="w.duckdb"), None),
    ],
)
def test_the_path_of_the_file_is_relative_to_the_projects_folder(of: Target, expected: str | None) -> None:
    assert duckdb_path(of, Path("/project")) == (Path(expected) if expected else None)
