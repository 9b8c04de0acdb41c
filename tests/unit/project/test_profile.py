"""The dbt profile: where it is found, how it is rendered, and errors for everything that is missing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from analytics_dagster.errors import ProjectError
from analytics_dagster.project.files import DbtProjectFiles, find_project
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


def files_of(folder: Path, *, profile: str = "p", **settings: Any) -> DbtProjectFiles:
    """Return a dbt project in a folder whose `dbt_project.yml` names a profile."""
    (folder / "dbt_project.yml").write_text(f"profile: {profile}\n")
    return find_project(Settings(dbt_project_dir=folder, **settings))


VARS = {"schema": "a_schema", "number": 4, "nested": "{{ env_var('LIBRARY_TEXT') }}", "list": [1, 2]}


def rendered_by_dbt(profiles_dir: Path, profile: str, target: str | None) -> tuple[str, dict[str, Any]]:
    """Return what dbt itself renders; it has no public API for this."""
    from dbt.config.profile import Profile, read_profile  # seconds, for these tests alone
    from dbt.config.renderer import ProfileRenderer  # the same
    from dbt_common.context import set_invocation_context  # the same

    set_invocation_context(os.environ)
    raw = read_profile(str(profiles_dir))[profile]
    name, data = Profile.render_profile(raw, profile, target, ProfileRenderer(VARS))
    return name, dict(data)


# --- where it is found ---------------------------------------------------------------------------------


def test_profiles_are_found_in_dbts_own_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    by_setting, by_dbt, project, home = (tmp_path / name for name in ("setting", "dbt", "project", "home"))
    project.mkdir()
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(ProjectError, match="looked in") as raised:
        find_profiles_dir(files_of(project))
    assert str(project) in raised.value.problem
    assert str(home / ".dbt") in raised.value.problem
    write_profiles(home / ".dbt")
    assert find_profiles_dir(files_of(project)) == home / ".dbt"
    write_profiles(project)
    assert find_profiles_dir(files_of(project)) == project
    write_profiles(by_dbt)
    monkeypatch.setenv("DBT_PROFILES_DIR", str(by_dbt))
    assert find_profiles_dir(files_of(project)) == by_dbt
    write_profiles(by_setting)
    assert find_profiles_dir(files_of(project, dbt_profiles_dir=by_setting)) == by_setting


def test_a_set_folder_without_profiles_is_an_error_even_if_others_have_them(tmp_path: Path) -> None:
    write_profiles(tmp_path)
    with pytest.raises(ProjectError, match="elsewhere") as raised:
        find_profiles_dir(files_of(tmp_path, dbt_profiles_dir=tmp_path / "elsewhere"))
    assert "ANALYTICS_DBT_PROFILES_DIR" in raised.value.remedy


# --- which target is chosen -----------------------------------------------------------------------------------------


def test_dev_uses_the_profiles_default_target(library: Library) -> None:
    target = load_target(find_project(library.settings()))
    assert (target.profile, target.name, target.adapter) == ("library", "laptop", "duckdb")
    assert target.profiles_dir == library.project / "profiles"
    assert target.credentials["path"] == "library.duckdb"


def test_a_profile_without_a_target_uses_the_target_default(tmp_path: Path) -> None:
    (tmp_path / "profiles.yml").write_text("p: {outputs: {default: {type: duckdb}}}")
    assert load_target(files_of(tmp_path)).name == "default"


def test_the_setting_overrides_the_projects_profile(tmp_path: Path) -> None:
    write_profiles(tmp_path)
    assert load_target(files_of(tmp_path, profile="q", dbt_profile="p")).profile == "p"


def test_a_missing_profile_is_an_error_that_lists_the_existing_ones(library: Library) -> None:
    with pytest.raises(ProjectError, match=r"no profile 'museum' .*it has: library") as raised:
        load_target(find_project(library.settings(dbt_profile="museum")))
    assert "ANALYTICS_DBT_PROFILE" in raised.value.remedy


@pytest.mark.parametrize(
    ("others", "rule"),
    [
        ({"dbt_target": "cellar"}, "Its default is the profile's own `target`"),
        ({"environment": Environment.PROD}, "else the environment's name"),
        ({"environment": Environment.STAGING}, "else the environment's name"),
    ],
)
def test_a_missing_target_is_an_error_that_lists_the_existing_ones(
    library: Library, others: dict[str, Any], rule: str
) -> None:
    with pytest.raises(ProjectError, match=r"it has: laptop, server\.") as raised:
        load_target(find_project(library.settings(**others)))
    assert rule in str(raised.value)
    assert "ANALYTICS_DBT_TARGET" in raised.value.remedy


def test_missing_variables_of_the_chosen_target_are_listed_together() -> None:
    bundled = Settings(dbt_project_dir=CHECKOUT / "dbt_project")
    assert load_target(find_project(bundled)).name == "dev"
    with pytest.raises(ProjectError) as raised:
        load_target(find_project(bundled.model_copy(update={"environment": Environment.PROD})))
    assert all(name in raised.value.problem for name in POSTGRES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("p: [", "can't be read"),
        ("", "has no profiles"),
        ("- p", "has no profiles"),
        ("p: text", "no profile 'p' with outputs"),
        ("p: {target: one}", "no profile 'p' with outputs"),
        ("p: {target: one, outputs: {one: text}}", "no target 'one'"),
        ("p: {target: one, outputs: {one: {type: duckdb, path: '{{ env_var('}}}", "can't be rendered at"),
        ("p: {target: one, outputs: {one: {type: duckdb, path: '{{ unheard_of }}'}}}", "can't be rendered at"),
    ],
)
def test_invalid_profiles_are_an_error_that_names_their_path(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "profiles.yml"
    path.write_text(content)
    with pytest.raises(ProjectError, match=message) as raised:
        load_target(files_of(tmp_path))
    assert str(path) in raised.value.problem


# --- how it is rendered -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "target"),
    [({}, None), ({"LIBRARY_FILE": "elsewhere.duckdb"}, None), ({"LIBRARY_SERVER_FILE": "s.duckdb"}, "server")],
)
def test_the_librarys_profile_is_rendered_like_dbt_does(
    monkeypatch: pytest.MonkeyPatch, library: Library, environment: dict[str, str], target: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ours = load_target(find_project(library.settings(dbt_target=target)))
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
def test_the_bundled_profile_is_rendered_like_dbt_does(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], target: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    project = CHECKOUT / "dbt_project"
    ours = load_target(find_project(Settings(dbt_project_dir=project, dbt_target=target)))
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
        "{{ var('schema') }}",
        "{{ var('number') }}",
        "{{ var('list') }}",
        "{{ var('nested') }}",
        "{{ var('absent', 'default') }}",
        "{{ var('absent', 5) }}",
        "{{ var.has_var('schema') }}",
        "{{ 'a' if var.has_var('absent') else 'b' }}_{{ var('number') }}",
        "{{ local_md5('a') }}",
        "{{ fromjson('[1, 2]') }}",
        "{{ fromyaml('a: 1') }}",
        "{{ tojson([1, 'a']) }}",
        "{{ dbt_version }}",
        {"password": "half{% open"},
        {"password": "{{ unclosed"},
    ],
)
def test_each_kind_of_value_is_rendered_like_dbt_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: Any
) -> None:
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
    ours = load_target(files_of(tmp_path, dbt_vars=VARS))
    assert (ours.name, ours.credentials) == rendered_by_dbt(tmp_path, "p", None)


def test_a_missing_var_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    write_profiles(tmp_path, one={"type": "duckdb", "schema": "{{ var('the_schema') }}"})
    with pytest.raises(ProjectError, match=r"the var the_schema is not in ANALYTICS_DBT_VARS"):
        load_target(files_of(tmp_path))


def test_an_error_of_rendering_shows_no_literal_secret(tmp_path: Path) -> None:
    write_profiles(tmp_path, one={"type": "duckdb", "token": "hunter22{{ nothing }}"})
    with pytest.raises(ProjectError, match="at `token`") as raised:
        load_target(files_of(tmp_path))
    assert "hunter22" not in str(raised.value)


def test_a_target_keeps_only_the_vars_that_its_profile_reads(tmp_path: Path) -> None:
    write_profiles(tmp_path, one={"type": "duckdb", "schema": "{{ var('schema') }}", "path": "{{ var( \"p\" , 'x') }}"})
    target = load_target(files_of(tmp_path, dbt_vars={**VARS, "p": "y"}))
    assert target.variables == {"schema": "a_schema", "p": "y"}
    assert read_target(tmp_path, "p", "one", target.variables).credentials == target.credentials


# --- secrets ------------------------------------------------------------------------------------------------


def test_a_targets_secrets_are_not_in_its_repr_and_are_redacted(tmp_path: Path) -> None:
    secrets = {"password": "hunter2", "token": "t0ken", "secrets": [{"type": "s3", "value": "n3sted"}]}
    target = Target("p", "one", "postgres", tmp_path, {"host": "db", "port": 5432, "pass": "", **secrets})
    assert "hunter2" not in repr(target)
    assert target.redact("db said: hunter2, t0ken and n3sted are wrong") == "db said: ***, *** and *** are wrong"
    assert target.redact("nothing to hide") == "nothing to hide"


def test_only_secret_values_of_duckdb_secrets_are_redacted(tmp_path: Path) -> None:
    secrets = [
        {"name": "files", "type": "s3", "key_id": "A-K1A", "secret": "hunter2", "endpoint": "s3.example.com"},
        {"name": "catalog", "type": "postgres", "host": "db", "user": "analytics", "password": "t0ps3cret"},
    ]
    attach = [{"path": "ducklake:postgres:", "options": {"meta_secret": "catalog"}}]
    target = Target("p", "one", "duckdb", tmp_path, {"secrets": secrets, "attach": attach})
    said = "catalog of analytics at db: t0ps3cret is wrong; A-K1A and hunter2 are refused by s3.example.com"
    assert target.redact(said) == "catalog of analytics at db: *** is wrong; *** and *** are refused by s3.example.com"


# --- the names of its relations -------------------------------------------------------------------------


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
def test_database_and_schema_are_read_from_each_adapters_own_keys(
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


def test_a_chosen_target_is_read_again_with_current_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_profiles(tmp_path, one={"type": "postgres", "password": "{{ env_var('LIBRARY_PASSWORD') }}"})
    with pytest.raises(ProjectError, match="LIBRARY_PASSWORD"):
        read_target(tmp_path, "p", "one", {})
    monkeypatch.setenv("LIBRARY_PASSWORD", "hunter2")
    assert read_target(tmp_path, "p", "one", {}).redact("hunter2") == "***"
    with pytest.raises(ProjectError, match=r"The profile 'p' in .* has no target 'two'"):
        read_target(tmp_path, "p", "two", {})
