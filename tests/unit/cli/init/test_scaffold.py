"""The inputs of `init` are found in the project and the folders around it; unusable ones are an error with a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from analytics_dagster.cli.init.scaffold import find_chosen_settings, find_profiles, find_time_zone, scaffold
from analytics_dagster.errors import ProjectError
from analytics_dagster.planning.groups import ScheduleGroup


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with only a `dbt_project.yml`."""
    folder = tmp_path / "dbt"
    (folder / "transformations").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("name: shop\nmodel-paths: [transformations]\n")
    return folder


@pytest.mark.parametrize("inside", ["transformations", "transformations/dagster", "seeds", "macros/more"])
def test_a_folder_that_dbt_reads_is_refused(inside: str, project: Path) -> None:
    with pytest.raises(ProjectError, match="dbt reads the files in") as refused:
        scaffold(project, project / inside, print)
    assert "--into" in refused.value.remedy
    assert not (project / inside / ".env").exists()


def test_a_folder_without_a_project_names_the_project_below_it(project: Path) -> None:
    with pytest.raises(ProjectError, match=rf"There is one in {project}\."):
        scaffold(project.parent, None, print)
    assert list(project.parent.iterdir()) == [project]


def test_an_unreadable_dbt_project_yml_is_an_error(project: Path) -> None:
    (project / "dbt_project.yml").write_text("name: [")
    with pytest.raises(ProjectError, match="can't be read"):
        scaffold(project, None, print)


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
def test_a_profile_is_found_in_folders_that_dbt_does_not_search(
    places: list[str], found: str | None, tmp_path: Path
) -> None:
    (tmp_path / "dbt").mkdir()
    for place in places:
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / "profiles.yml").write_text("shop: {outputs: {dev: {type: duckdb}}}\n")
    (tmp_path / "another").mkdir()
    (tmp_path / "another" / "profiles.yml").write_text("bank: {outputs: {}}\n")
    profiles = find_profiles(tmp_path / "dbt", "shop", tmp_path / "home")
    assert profiles == (tmp_path / found if found else None)


@pytest.mark.parametrize(
    ("variable", "link", "debian", "zone"),
    [
        ("", "/usr/share/zoneinfo/Europe/Berlin", "", "Europe/Berlin"),
        ("", "/var/db/timezone/zoneinfo/America/New_York", "", "America/New_York"),
        ("", "/usr/share/zoneinfo/posix/Asia/Tokyo", "", "Asia/Tokyo"),
        ("", "/usr/share/zoneinfo/right/Asia/Tokyo", "", "Asia/Tokyo"),
        ("", "/usr/share/zoneinfo/America/Argentina/Buenos_Aires", "", "America/Argentina/Buenos_Aires"),
        # Names without a slash.
        ("", "/no/such/zoneinfo/Singapore", "", "Singapore"),
        ("", "/usr/share/zoneinfo/CET", "", "CET"),
        ("", "/no/such/zoneinfo/Japan", "", "Japan"),
        ("", "/no/such/zoneinfo/GB", "", "GB"),
        ("", "/usr/share/zoneinfo/Etc/UTC", "", "UTC"),
        ("", "/usr/share/zoneinfo/UTC", "", "UTC"),
        ("", "/usr/share/zoneinfo/Etc/GMT+5", "", "Etc/GMT+5"),
        ("Singapore", "/usr/share/zoneinfo/Europe/Berlin", "", "Singapore"),
        (":Asia/Kolkata", "/usr/share/zoneinfo/Europe/Berlin", "", "Asia/Kolkata"),
        (":/no/such/zoneinfo/Japan", "/usr/share/zoneinfo/Europe/Berlin", "", "Japan"),
        # A copy of the file instead of a link.
        ("", "", "Asia/Singapore\n", "Asia/Singapore"),
        ("", "", "CET", "CET"),
        # Unknown.
        ("", "", "", None),
        ("", "/usr/share/zoneinfo/Factory", "", None),
        ("", "/usr/share/zoneinfo/Mars/Base", "", None),
        ("CET-1CEST,M3.5.0,M10.5.0/3", "/usr/share/zoneinfo/Europe/Berlin", "", None),
        ("Mars/Base", "/usr/share/zoneinfo/Europe/Berlin", "", None),
    ],
)
def test_the_time_zone_is_that_of_the_machine_and_never_another(
    variable: str, link: str, debian: str, zone: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", variable)
    localtime, timezone = tmp_path / "localtime", tmp_path / "timezone"
    if link:
        localtime.symlink_to(link)
    if debian:
        timezone.write_text(debian)
    found = find_time_zone(localtime, timezone)
    assert found == zone
    if found:
        assert ScheduleGroup(name="a", select="b", time_zone=found).time_zone == found


def test_an_unknown_time_zone_is_said(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setenv("TZ", "Mars/Base")
    (project.parent / "out").mkdir()

    def stop(line: str) -> None:
        said.append(line)
        raise ProjectError("Only what comes before the parse matters here.", remedy="")

    with pytest.raises(ProjectError):
        scaffold(project, project.parent / "out", stop)
    assert "The time zone of this machine is unknown: ANALYTICS_TIME_ZONE is UTC. Correct it in .env." in said


def test_chosen_settings_are_kept_when_init_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_DBT_PROFILE", "bank")
    earlier = {"ANALYTICS_DBT_TARGET": "server", "ANALYTICS_DBT_PROFILE": "shop", "ANALYTICS_SLACK_TOKEN": "xoxb-1"}
    assert find_chosen_settings(earlier) == {"ANALYTICS_DBT_PROFILE": "bank", "ANALYTICS_DBT_TARGET": "server"}
