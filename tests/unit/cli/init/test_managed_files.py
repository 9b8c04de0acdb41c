"""What is written again never takes the place of what somebody has changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from dotenv import dotenv_values

from analytics_dagster.cli.init.contents import Site, environment_file
from analytics_dagster.cli.init.discovery import chosen_settings, find_profiles, find_time_zone
from analytics_dagster.cli.init.managed_files import Outcome, keep


def test_a_file_is_written_and_then_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "groups.yaml"
    assert keep(path, "groups: []\n") is Outcome.WRITTEN
    assert yaml.safe_load(path.read_text()) == {"groups": []}
    assert keep(path, "groups: []\n") is Outcome.UNCHANGED


def test_what_nobody_has_changed_is_renewed(tmp_path: Path) -> None:
    path = tmp_path / "groups.yaml"
    keep(path, "groups: [a]\n")
    assert keep(path, "groups: [b]\n") is Outcome.RENEWED
    assert yaml.safe_load(path.read_text()) == {"groups": ["b"]}


def test_what_was_changed_is_kept_and_what_is_new_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "groups.yaml"
    keep(path, "groups: [a]\n")
    changed = path.read_text().replace("[a]", "[mine]")
    path.write_text(changed)
    assert keep(path, "groups: [a]\n") is Outcome.KEPT, "there is nothing new"
    assert list(tmp_path.iterdir()) == [path]
    assert keep(path, "groups: [b]\n") is Outcome.BESIDE
    assert path.read_text() == changed
    assert yaml.safe_load((tmp_path / "groups.yaml.new").read_text()) == {"groups": ["b"]}


def test_what_never_was_ours_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("[project]\n")
    assert keep(path, "[tool.dagster]\n") is Outcome.BESIDE
    assert path.read_text() == "[project]\n"


def test_the_settings_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    project = tmp_path / "my project" / "dbt"
    site = Site(tmp_path / "dagster", project, None, "Europe/Berlin", {"ANALYTICS_DBT_VARS": '{"a": "it\'s # 1"}'})
    path = tmp_path / ".env"
    keep(path, environment_file(site))
    values = dotenv_values(path)
    assert values["ANALYTICS_DBT_PROJECT_DIR"] == "../my project/dbt"
    assert values["ANALYTICS_DBT_VARS"] == '{"a": "it\'s # 1"}'
    assert (project / str(values["ANALYTICS_DBT_TARGET_PATH"])).resolve() == tmp_path / "dagster" / "target"
    assert values["DAGSTER_HOME"] == str(tmp_path / "dagster" / ".dagster_home")
    assert "ANALYTICS_DBT_PROFILES_DIR" not in values


@pytest.mark.parametrize(
    ("places", "found"),
    [
        (["dbt"], None),
        (["home/.dbt", "dbt/profiles"], None),
        (["dbt/profiles"], "dbt/profiles"),
        (["."], "."),
        (["deploy"], "deploy"),
        ([], None),
    ],
    ids=str,
)
def test_a_profile_is_found_where_dbt_would_not_look(places: list[str], found: str | None, tmp_path: Path) -> None:
    (tmp_path / "dbt").mkdir()
    for place in places:
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / "profiles.yml").write_text("shop: {outputs: {dev: {type: duckdb}}}\n")
    (tmp_path / "another").mkdir()
    (tmp_path / "another" / "profiles.yml").write_text("bank: {outputs: {}}\n")
    profiles = find_profiles(tmp_path / "dbt", "shop", tmp_path / "home")
    assert profiles == (tmp_path / found if found else None)


@pytest.mark.parametrize(
    ("link", "zone"),
    [
        ("/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin"),
        ("/usr/share/zoneinfo/Etc/UTC", "UTC"),
        ("/usr/share/zoneinfo/posix/Asia/Tokyo", "Asia/Tokyo"),
        ("/nowhere", "UTC"),
    ],
)
def test_the_time_zone_is_the_machines(link: str, zone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)
    (tmp_path / "localtime").symlink_to(link)
    assert find_time_zone(tmp_path / "localtime") == zone


def test_a_target_that_was_chosen_once_is_written_down_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_DBT_PROFILE", "bank")
    earlier = {"ANALYTICS_DBT_TARGET": "server", "ANALYTICS_DBT_PROFILE": "shop", "ANALYTICS_SLACK_TOKEN": "xoxb-1"}
    assert chosen_settings(earlier) == {"ANALYTICS_DBT_PROFILE": "bank", "ANALYTICS_DBT_TARGET": "server"}
