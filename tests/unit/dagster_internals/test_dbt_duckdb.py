"""DuckDB opened by a profile, with dbt-duckdb's classes and without them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from analytics_dagster.dagster_internals import guard
from analytics_dagster.dagster_internals.dbt_duckdb import (
    _probe,
    _statements,
    correct_attachments,
    is_file_path,
    open_profile,
)

PROFILE = {
    "type": "duckdb",
    "path": ":memory:",
    "database": "shop",
    "threads": 4,
    "attach": [{"path": "shop.duckdb", "alias": "shop"}],
    "settings": {"memory_limit": "1GB"},
    "config_options": {"allow_unsigned_extensions": "true"},
}


def test_the_private_names_exist() -> None:
    assert _probe() is not None


@pytest.fixture(params=[False, True], ids=["dbt-duckdb", "public"])
def _internals(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(guard.NO_INTERNALS, raising=False)
    if request.param:
        monkeypatch.setenv(guard.NO_INTERNALS, "1")


@pytest.mark.usefixtures("_internals")
def test_a_profile_is_opened_with_its_attached_databases_settings_and_options(tmp_path: Path) -> None:
    before = repr(PROFILE)
    with open_profile(PROFILE, tmp_path, read_only=False) as writer:
        writer.execute("create table shop.orders as select 1 as id")
        assert writer.execute("select current_setting('memory_limit')").fetchone() == ("953.6 MiB",)
        assert writer.execute("select current_setting('allow_unsigned_extensions')").fetchone() == (True,)
    assert (tmp_path / "shop.duckdb").exists()
    with open_profile(PROFILE, tmp_path, read_only=True) as reader:
        assert reader.execute("from shop.orders").fetchall() == [(1,)]
        with pytest.raises(duckdb.InvalidInputException, match="read-only"):
            reader.execute("delete from shop.orders")
    assert repr(PROFILE) == before


@pytest.mark.usefixtures("_internals")
def test_without_attach_no_database_is_attached(tmp_path: Path) -> None:
    with open_profile(PROFILE, tmp_path, read_only=True, attach=False) as connection:
        names = connection.execute("select database_name from duckdb_databases() where not internal").fetchall()
    assert names == [("memory",)]


@pytest.mark.usefixtures("_internals")
def test_a_database_that_can_not_be_attached_is_duckdbs_own_error(tmp_path: Path) -> None:
    with pytest.raises(duckdb.Error, match=r"absent\.duckdb"):
        open_profile({**PROFILE, "attach": [{"path": "absent.duckdb", "alias": "shop"}]}, tmp_path, read_only=True)


@pytest.mark.parametrize(
    ("content", "statements"),
    [
        ({}, []),
        ({"extensions": ["httpfs"]}, ["install httpfs", "load httpfs"]),
        ({"extensions": [{"name": "h3", "repo": "community"}]}, ["install h3 from community", "load h3"]),
        (
            {"secrets": [{"type": "s3", "secret": "it's", "region": None}]},
            ["create or replace secret _dbt_secret_1 (type 's3', secret 'it''s')"],
        ),
        (
            {"secrets": [{"type": "s3", "name": "own", "scope": ["a", "b"], "persistent": True}]},
            ["create or replace persistent secret own (type 's3', scope ['a', 'b'])"],
        ),
        (
            {
                "attach": [
                    {"path": "ducklake:postgres:", "alias": "lake", "options": {"DATA_PATH": "s3://b", "x": False}}
                ]
            },
            ["attach if not exists 'ducklake:postgres:' as lake (data_path 's3://b', read_only)"],
        ),
        (
            {"attach": [{"path": "a.duckdb", "read_only": False, "type": "sqlite"}]},
            ["attach if not exists '/project/a.duckdb' (type 'sqlite', read_only)"],
        ),
        ({"settings": {"threads": 2}}, ["set threads = '2'"]),
    ],
)
def test_the_fields_of_a_profile_become_sql(content: dict[str, Any], statements: list[str]) -> None:
    assert list(_statements(content, Path("/project"), read_only=True)) == statements


@pytest.mark.parametrize(
    ("path", "is_file"), [("w.duckdb", True), ("/w", True), (":memory:", False), ("md:shop", False), (None, False)]
)
def test_a_path_without_a_colon_is_a_file(path: Any, *, is_file: bool) -> None:
    assert is_file_path(path) is is_file


def test_attachments_are_corrected_for_reading_and_for_writing() -> None:
    def attachment() -> Any:
        return SimpleNamespace(path="a.duckdb", read_only=False, options={"READ_ONLY": False, "x": 1})

    read, written = attachment(), attachment()
    correct_attachments([read], Path("/project"), read_only=True)
    correct_attachments([written], Path("/project"), read_only=False)
    correct_attachments(None, Path("/project"), read_only=True)
    assert (read.path, read.read_only, read.options) == ("/project/a.duckdb", True, {"x": 1})
    assert (written.path, written.read_only, written.options) == (
        "/project/a.duckdb",
        False,
        {"READ_ONLY": False, "x": 1},
    )
