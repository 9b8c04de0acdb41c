"""The manifest: reading it, and errors that name the file and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from analytics_dagster.errors import ProjectError
from analytics_dagster.project.files import DbtProjectFiles
from analytics_dagster.project.loading import Project
from analytics_dagster.project.manifest import SUPPORTED_SCHEMA, read_manifest
from analytics_dagster.project.profile import Target
from analytics_dagster.settings import Environment

WHOLE = f'{{"metadata": {{"dbt_schema_version": "{SUPPORTED_SCHEMA}", "dbt_version": "1.11.0"}}, "nodes": {{}}}}'


def test_a_manifest_is_read_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(WHOLE)
    assert read_manifest(path, remedy="none")["nodes"] == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "There is no manifest at"),
        ("", "is empty"),
        ("  \n", "is empty"),
        (WHOLE[:-20], "is truncated or not JSON"),
        ("not JSON", "is truncated or not JSON"),
        ("\x00", "is truncated or not JSON"),
        ("[]", "not a dbt manifest"),
        ("null", "not a dbt manifest"),
        ("{}", "not a dbt manifest"),
        ('{"metadata": {}, "results": []}', "not a dbt manifest"),
        ('{"metadata": 1, "nodes": {}}', "not a dbt manifest"),
        (WHOLE.replace("v12", "v11").replace("1.11.0", "1.7.3"), r"has version .*v11\.json \(dbt 1\.7\.3\)"),
        ('{"metadata": {}, "nodes": {}}', "has version None"),
    ],
)
def test_an_invalid_manifest_is_an_error_with_its_path_and_a_remedy(
    tmp_path: Path, content: str | None, message: str
) -> None:
    path = tmp_path / "manifest.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ProjectError, match=message) as raised:
        read_manifest(path, remedy="Run the command.")
    assert str(path) in raised.value.problem
    assert raised.value.remedy == "Run the command."


def test_an_unreadable_manifest_is_an_error_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"can't be read: .*directory"):
        read_manifest(tmp_path, remedy="none")


def test_a_projects_manifest_is_read_once_at_the_first_lookup(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    files = DbtProjectFiles(tmp_path, {}, tmp_path, (), "p", None, Environment.DEV, "{}")
    project = Project(files, Target("p", "dev", "duckdb", tmp_path, {}), selected={})
    with pytest.raises(ProjectError, match="There is no manifest at"):
        _ = project.manifest
    path.write_text(WHOLE)
    assert project.manifest == read_manifest(path, remedy="none")
    path.unlink()
    assert project.manifest["nodes"] == {}
