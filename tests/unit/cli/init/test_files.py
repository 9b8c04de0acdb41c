"""A file that a user has changed is never overwritten."""

from __future__ import annotations

from pathlib import Path

import yaml
from dotenv import dotenv_values

from analytics_dagster.cli.init.files import FileOutcome, ScaffoldInputs, environment_file, write_file


def test_a_second_write_of_the_same_contents_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "groups.yaml"
    assert write_file(path, "groups: []\n") is FileOutcome.WRITTEN
    assert yaml.safe_load(path.read_text()) == {"groups": []}
    assert write_file(path, "groups: []\n") is FileOutcome.UNCHANGED


def test_a_file_without_changes_by_a_user_is_updated(tmp_path: Path) -> None:
    path = tmp_path / "groups.yaml"
    write_file(path, "groups: [a]\n")
    assert write_file(path, "groups: [b]\n") is FileOutcome.UPDATED
    assert yaml.safe_load(path.read_text()) == {"groups": ["b"]}


def test_a_changed_file_is_kept_and_new_contents_go_to_another_file(tmp_path: Path) -> None:
    path = tmp_path / "groups.yaml"
    write_file(path, "groups: [a]\n")
    changed = path.read_text().replace("[a]", "[mine]")
    path.write_text(changed)
    assert write_file(path, "groups: [a]\n") is FileOutcome.KEPT, "there are no new contents"
    assert list(tmp_path.iterdir()) == [path]
    assert write_file(path, "groups: [b]\n") is FileOutcome.NEW_BESIDE
    assert path.read_text() == changed
    assert yaml.safe_load((tmp_path / "groups.yaml.new").read_text()) == {"groups": ["b"]}


def test_a_file_that_init_did_not_write_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("[project]\n")
    assert write_file(path, "[tool.dagster]\n") is FileOutcome.NEW_BESIDE
    assert path.read_text() == "[project]\n"


def test_the_dotenv_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    project = tmp_path / "my project" / "dbt"
    site = ScaffoldInputs(
        tmp_path / "dagster", project, None, "Europe/Berlin", {"ANALYTICS_DBT_VARS": '{"a": "it\'s # 1"}'}
    )
    path = tmp_path / ".env"
    write_file(path, environment_file(site))
    values = dotenv_values(path)
    assert values["ANALYTICS_DBT_PROJECT_DIR"] == "../my project/dbt"
    assert values["ANALYTICS_DBT_VARS"] == '{"a": "it\'s # 1"}'
    assert (project / str(values["ANALYTICS_DBT_TARGET_PATH"])).resolve() == tmp_path / "dagster" / "target"
    assert values["DAGSTER_HOME"] == str(tmp_path / "dagster" / ".dagster_home")
    assert "ANALYTICS_DBT_PROFILES_DIR" not in values
