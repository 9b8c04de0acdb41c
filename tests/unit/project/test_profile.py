"""The profile: found in dbt's order, rendered as dbt renders it, and clear about all that is missing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from analytics_dagster.errors import ProjectError
from analytics_dagster.project.profile import Target, find_profiles_dir, load_target, read_target
from analytics_dagster.settings import CHECKOUT, Environment, Settings

if TYPE_CHECKING:
    from tests.conftest import Library

POSTGRES = {
    "ANALYTICS_POSTGRES_HOST": "db.example.com",
    "ANALYTICS_POSTGRES_USER": "analytics",
    "ANALYTICS_POSTGRES_PASSWORD": "hunter2",
    "ANALYTICS_POSTGRES_DBNAME": "shop",
}


def write_profiles(folder: Path, **outputs: Any) -> Path:
    """Write a profile `p` whose default target is `one`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "profiles.yml"
    path.write_text(yaml.safe_dump({"p": {"target": "one", "outputs": outputs or {"one": {"type": "duckdb"}}}}))
    return path


def settings_of(folder: Path, **others: Any) -> Settings:
    return Settings(dbt_project_dir=folder, **others)


def rendered_by_dbt(profiles_dir: Path, profile: str, target: str | None) -> tuple[str, dict[str, Any]]:
    """Ask dbt itself. Its configuration has no public API: if this moves, only this comparison is lost."""
    from dbt.config.profile import Profile, read_profile  # seconds, for these tests alone
    from dbt.config.renderer import ProfileRenderer  # the same
    from dbt_common.context import set_invocation_context  # the same

    set_invocation_context(os.environ)
    raw = read_profile(str(profiles_dir))[profile]
    name, data = Profile.render_profile(raw, profile, target, ProfileRenderer({}))
    return name, dict(data)


# --- where it is looked for ---------------------------------------------------------------------------------


def test_profiles_are_looked_for_in_dbts_own_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    by_setting, by_dbt, project, home = (tmp_path / name for name in ("setting", "dbt", "project", "home"))
    project.mkdir()
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(ProjectError, match="looked in") as raised:
        find_profiles_dir(settings_of(project))
    assert str(project) in raised.value.problem
    assert str(home / ".dbt") in raised.value.problem
    write_profiles(home / ".dbt")
    assert find_profiles_dir(settings_of(project)) == home / ".dbt"
    write_profiles(project)
    assert find_profiles_dir(settings_of(project)) == project
    write_profiles(by_dbt)
    monkeypatch.setenv("DBT_PROFILES_DIR", str(by_dbt))
    assert find_profiles_dir(settings_of(project)) == by_dbt
    write_profiles(by_setting)
    assert find_profiles_dir(settings_of(project, dbt_profiles_dir=by_setting)) == by_setting


def test_a_folder_that_is_named_and_holds_none_is_an_error_though_others_have_one(tmp_path: Path) -> None:
    write_profiles(tmp_path)
    with pytest.raises(ProjectError, match="elsewhere") as raised:
        find_profiles_dir(settings_of(tmp_path, dbt_profiles_dir=tmp_path / "elsewhere"))
    assert "ANALYTICS_DBT_PROFILES_DIR" in raised.value.remedy


# --- what is chosen -----------------------------------------------------------------------------------------


def test_the_profiles_own_target_is_taken_on_a_laptop(library: Library) -> None:
    target = load_target(library.settings(), "library")
    assert (target.profile, target.name, target.adapter) == ("library", "laptop", "duckdb")
    assert target.profiles_dir == library.project / "profiles"
    assert target.credentials["path"] == "library.duckdb"


def test_a_profile_without_a_target_means_the_target_default(tmp_path: Path) -> None:
    (tmp_path / "profiles.yml").write_text("p: {outputs: {default: {type: duckdb}}}")
    assert load_target(settings_of(tmp_path), "p").name == "default"


def test_the_setting_chooses_another_profile_than_the_projects(tmp_path: Path) -> None:
    write_profiles(tmp_path)
    assert load_target(settings_of(tmp_path, dbt_profile="p"), "q").profile == "p"


def test_a_missing_profile_is_an_error_that_lists_those_there_are(library: Library) -> None:
    with pytest.raises(ProjectError, match=r"no profile 'museum' .*it has: library") as raised:
        load_target(library.settings(), "museum")
    assert "ANALYTICS_DBT_PROFILE" in raised.value.remedy


@pytest.mark.parametrize(
    ("others", "rule"),
    [
        ({"dbt_target": "cellar"}, "'cellar'"),
        ({"environment": Environment.PROD}, "the environment's name, 'prod', is asked for"),
        ({"environment": Environment.STAGING}, "the environment's name, 'staging', is asked for"),
    ],
)
def test_a_missing_target_is_an_error_that_lists_those_there_are(
    library: Library, others: dict[str, Any], rule: str
) -> None:
    with pytest.raises(ProjectError, match=r"it has: laptop, server\.") as raised:
        load_target(library.settings(**others), "library")
    assert rule in str(raised.value)
    assert "ANALYTICS_DBT_TARGET" in raised.value.remedy


def test_only_the_chosen_targets_variables_are_needed_and_all_absent_ones_are_named_at_once() -> None:
    bundled = Settings(dbt_project_dir=CHECKOUT / "dbt_project")
    assert load_target(bundled, "jaffle_shop").name == "dev"
    with pytest.raises(ProjectError) as raised:
        load_target(bundled.model_copy(update={"environment": Environment.PROD}), "jaffle_shop")
    assert all(name in raised.value.problem for name in POSTGRES)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("p: [", "can't be read"),
        ("", "holds no profiles"),
        ("- p", "holds no profiles"),
        ("p: text", "no profile 'p' with outputs"),
        ("p: {target: one}", "no profile 'p' with outputs"),
        ("p: {target: one, outputs: {one: text}}", "no target 'one'"),
        ("p: {target: one, outputs: {one: {type: duckdb, path: '{{ env_var('}}}", "can't be rendered at"),
        ("p: {target: one, outputs: {one: {type: duckdb, path: '{{ unheard_of }}'}}}", "can't be rendered at"),
    ],
)
def test_profiles_that_are_none_are_an_error_with_their_path(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "profiles.yml"
    path.write_text(content)
    with pytest.raises(ProjectError, match=told) as raised:
        load_target(settings_of(tmp_path), "p")
    assert str(path) in raised.value.problem


# --- how it is rendered -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "target"),
    [({}, None), ({"LIBRARY_FILE": "elsewhere.duckdb"}, None), ({"LIBRARY_SERVER_FILE": "s.duckdb"}, "server")],
)
def test_the_lending_librarys_profile_reads_as_dbt_reads_it(
    monkeypatch: pytest.MonkeyPatch, library: Library, environment: dict[str, str], target: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ours = load_target(library.settings(dbt_target=target), "library")
    assert (ours.name, ours.credentials) == rendered_by_dbt(ours.profiles_dir, "library", target)


@pytest.mark.parametrize(
    ("environment", "target"),
    [
        ({}, None),
        ({"ANALYTICS_DBT_THREADS": "2", "ANALYTICS_WAREHOUSE_PATH": "/data/w.duckdb"}, None),
        (POSTGRES, "prod"),
        ({**POSTGRES, "ANALYTICS_POSTGRES_PORT": "6543"}, "prod"),
    ],
)
def test_the_bundled_profile_reads_as_dbt_reads_it(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], target: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    project = CHECKOUT / "dbt_project"
    ours = load_target(Settings(dbt_project_dir=project, dbt_target=target), "jaffle_shop")
    assert (ours.name, ours.credentials) == rendered_by_dbt(project, "jaffle_shop", target)


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        4,
        "{{ env_var('LIBRARY_TEXT') }}",
        "{{ env_var('LIBRARY_NUMBER') }}",
        "{{ env_var('LIBRARY_NUMBER') | as_number }}",
        "{{ env_var('LIBRARY_NUMBER') | int }}",
        "{{ env_var('LIBRARY_NUMBER') | as_text }}",
        "{{ env_var('LIBRARY_FRACTION') | as_number }}",
        "{{ env_var('LIBRARY_TRUE') | as_bool }}",
        "{{ env_var('LIBRARY_TRUE') | as_native }}",
        "{{ env_var('LIBRARY_LIST') | as_native }}",
        '{{ env_var("LIBRARY_TEXT") }}',
        "{{env_var( 'LIBRARY_ABSENT' , 'default' )}}",
        "{{ env_var('LIBRARY_ABSENT', '') }}",
        "a {{ env_var('LIBRARY_TEXT') }} b {{ env_var('LIBRARY_NUMBER') }}",
        "{{ env_var('LIBRARY_TEXT') }} and {{ env_var('LIBRARY_TEXT') }}",
        "{{ env_var('LIBRARY_NUMBER') }}:{{ env_var('LIBRARY_NUMBER') }}",
        "{{ env_var('LIBRARY_NUMBER') }}{{ env_var('LIBRARY_NUMBER') }}",
        "{{ env_var('LIBRARY_NUMBER') ~ '}}' }}",
        "{{ env_var('LIBRARY_TEXT') | upper }}",
        "{{ env_var('LIBRARY_as_name') }}",
        "{% if env_var('LIBRARY_TRUE') == 'True' %}yes{% else %}no{% endif %}",
        {"nested": ["{{ env_var('LIBRARY_NUMBER') | as_number }}", {"deep": "{{ env_var('LIBRARY_TEXT') }}"}]},
    ],
)
def test_each_kind_of_value_reads_as_dbt_reads_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: Any) -> None:
    environment = {
        "TEXT": "some text: with a colon",
        "NUMBER": "4",
        "FRACTION": "1.5",
        "TRUE": "True",
        "LIST": "[1, 2]",
        "as_name": "0123",
    }
    for name, content in environment.items():
        monkeypatch.setenv(f"LIBRARY_{name}", content)
    write_profiles(tmp_path, one={"type": "duckdb", "value": value})
    ours = load_target(settings_of(tmp_path), "p")
    assert (ours.name, ours.credentials) == rendered_by_dbt(tmp_path, "p", None)


# --- secrets ------------------------------------------------------------------------------------------------


def test_a_targets_secrets_are_not_shown_with_it_and_are_redacted(tmp_path: Path) -> None:
    secrets = {"password": "hunter2", "token": "t0ken", "secrets": [{"type": "s3", "value": "n3sted"}]}
    target = Target("p", "one", "postgres", tmp_path, {"host": "db", "port": 5432, "pass": "", **secrets})
    assert "hunter2" not in repr(target)
    assert target.redact("db said: hunter2, t0ken and n3sted are wrong") == "db said: ***, *** and *** are wrong"
    assert target.redact("nothing to hide") == "nothing to hide"


def test_of_duckdbs_secrets_only_what_is_secret_is_redacted(tmp_path: Path) -> None:
    secrets = [
        {"name": "files", "type": "s3", "key_id": "AKIA", "secret": "hunter2", "endpoint": "s3.example.com"},
        {"name": "catalog", "type": "postgres", "host": "db", "user": "analytics", "password": "t0ps3cret"},
    ]
    attach = [{"path": "ducklake:postgres:", "options": {"meta_secret": "catalog"}}]
    target = Target("p", "one", "duckdb", tmp_path, {"secrets": secrets, "attach": attach})
    said = "catalog of analytics at db: t0ps3cret is wrong; AKIA and hunter2 are refused by s3.example.com"
    assert target.redact(said) == "catalog of analytics at db: *** is wrong; *** and *** are refused by s3.example.com"


# --- what its relations are named by -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("adapter", "credentials", "expected"),
    [
        ("postgres", {"dbname": "w", "schema": "analytics"}, ("w", "analytics")),
        ("snowflake", {"account": "a", "database": "W", "schema": "ANALYTICS"}, ("W", "ANALYTICS")),
        ("bigquery", {"project": "p", "dataset": "d"}, ("p", "d")),
        ("databricks", {"catalog": "main", "schema": "d", "host": "h"}, ("main", "d")),
        ("spark", {"schema": "d"}, ("", "d")),
    ],
)
def test_adapters_have_names_of_their_own_for_database_and_schema(
    adapter: str, credentials: dict[str, Any], expected: tuple[str, str]
) -> None:
    target = Target("p", "one", adapter, Path("unused"), credentials)
    assert (target.database, target.schema) == expected


@pytest.mark.parametrize(
    "credentials",
    [
        {},
        {"path": ":memory:"},
        {"path": "warehouse.duckdb", "schema": "shop"},
        {"path": "../data/my.warehouse.duckdb"},
        {"path": "/data/.hidden.duckdb"},
        {"path": "md:shop"},
        {"path": "md:"},
        {"path": "motherduck:shop?x=y"},
        {"path": "ducklake:lake.ducklake"},
        {"path": "ducklake:folder/lake.ducklake"},
        {"path": ":memory:", "database": "lake", "attach": [{"path": "ducklake:postgres:", "alias": "lake"}]},
    ],
)
def test_a_duckdb_database_is_named_as_dbt_names_it(credentials: dict[str, Any]) -> None:
    from dbt.adapters.duckdb.credentials import DuckDBCredentials  # a second, for this test alone

    dbts = DuckDBCredentials.from_dict({"schema": "main", **credentials})
    target = Target("p", "one", "duckdb", Path("unused"), credentials)
    assert (target.database, target.schema) == (dbts.database, dbts.schema)


def test_a_chosen_target_is_read_again_with_the_secrets_of_the_moment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_profiles(tmp_path, one={"type": "postgres", "password": "{{ env_var('LIBRARY_PASSWORD') }}"})
    with pytest.raises(ProjectError, match="LIBRARY_PASSWORD"):
        read_target(tmp_path, "p", "one")
    monkeypatch.setenv("LIBRARY_PASSWORD", "hunter2")
    assert read_target(tmp_path, "p", "one").redact("hunter2") == "***"
    with pytest.raises(ProjectError, match="no target 'two' in the profile 'p' any more"):
        read_target(tmp_path, "p", "two")
