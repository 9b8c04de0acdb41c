"""A warehouse is checked without changing it, and its missing extensions are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from analytics_dagster.cli.doctor import lake, warehouse
from analytics_dagster.cli.doctor.result import CheckStatus
from analytics_dagster.cli.doctor.runner import _guarded


def test_a_missing_warehouse_is_not_created(tmp_path: Path) -> None:
    path = tmp_path / "data" / "warehouse.duckdb"
    [result] = warehouse.check_file(path)
    assert result.status is CheckStatus.OK
    assert not path.parent.exists()


def test_a_write_test_leaves_the_warehouse_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    duckdb.connect(str(path)).close()
    [result] = warehouse.check_file(path)
    assert result.status is CheckStatus.OK, result
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("select count(*) from information_schema.tables").fetchone() == (0,)


def test_a_file_that_is_not_a_database_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    path.write_text("not a database, " * 1000)
    [result] = _guarded(warehouse.CHECK, lambda: warehouse.check_file(path))
    assert result.status is CheckStatus.ERROR
    assert str(path) in result.message


@pytest.mark.parametrize(
    ("credentials", "needed"),
    [
        ({"path": "a.duckdb"}, []),
        ({"path": "a.duckdb", "extensions": ["httpfs", {"name": "h3", "repo": "community"}]}, ["httpfs", "h3"]),
        ({"path": "a.duckdb", "secrets": [{"type": "s3"}, {"type": "postgres"}]}, ["httpfs", "postgres_scanner"]),
        ({"path": ":memory:", "attach": [{"path": "ducklake:postgres:dbname=a"}]}, ["ducklake", "postgres_scanner"]),
        ({"path": ":memory:", "attach": [{"path": "dbname=a", "type": "postgres"}]}, ["postgres_scanner"]),
        ({"path": "ducklake:meta.ducklake", "extensions": ["ducklake"]}, ["ducklake"]),
        ({"path": "md:analytics"}, ["motherduck"]),
        ({"path": "C:\\data\\a.duckdb"}, []),
    ],
    ids=str,
)
def test_the_extensions_of_a_target_come_from_its_profile(credentials: dict[str, Any], needed: list[str]) -> None:
    assert warehouse.needed_extensions(credentials) == needed


@pytest.mark.parametrize(
    ("attached", "found"),
    [
        ([], []),
        ([{"path": "other.duckdb"}, "text"], []),
        ([{"path": "ducklake:metadata.ducklake"}], []),
        ([{"path": "ducklake:postgres:dbname=a"}], [lake.LakeCatalog("dbname=a", "", "public")]),
        (
            [{"path": "ducklake:postgres:", "options": {"META_SECRET": "s", "metadata_schema": "lake"}}],
            [lake.LakeCatalog("", "s", "lake")],
        ),
    ],
    ids=str,
)
def test_the_postgresql_catalogs_of_a_target_come_from_its_profile(
    attached: list[Any], found: list[lake.LakeCatalog]
) -> None:
    assert lake.catalogs({"attach": attached}) == found
    assert lake.catalogs({}) == []


@pytest.mark.parametrize(
    ("options", "status", "remedy"),
    [
        ({}, CheckStatus.WARNING, "Without internet access, install it from the package registry: pip install"),
        ({"autoinstall_known_extensions": "false"}, CheckStatus.ERROR, "then analytics-dagster prepare"),
    ],
    ids=["downloaded", "closed"],
)
def test_a_missing_extension_is_reported_with_its_package(
    options: dict[str, str], status: CheckStatus, remedy: str, tmp_path: Path
) -> None:
    credentials = {"extensions": ["spatial"], "config_options": {"extension_directory": str(tmp_path), **options}}
    [result] = warehouse.check_extensions(credentials)
    assert result.status is status
    assert str(tmp_path) in result.message
    assert "duckdb-extension-spatial" in result.remedy
    assert remedy in result.remedy


def test_installed_extensions_are_ok() -> None:
    [result] = warehouse.check_extensions({"extensions": ["json", "icu"]})
    assert result.status is CheckStatus.OK


def test_an_extension_in_an_installed_package_is_installed_by_prepare(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(warehouse, "_is_packaged", lambda _: True)
    credentials = {"extensions": ["spatial"], "config_options": {"extension_directory": str(tmp_path)}}
    [result] = warehouse.check_extensions(credentials)
    assert (result.status, result.remedy) == (CheckStatus.WARNING, "analytics-dagster prepare")
