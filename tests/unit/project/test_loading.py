"""Preparing and loading the dbt project, and the errors if it can't be prepared or is not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from analytics_dagster.errors import ProjectError
from analytics_dagster.planning.groups_file import load_groups
from analytics_dagster.project.files import DbtProjectFiles, find_project
from analytics_dagster.project.fingerprint import RECORD
from analytics_dagster.project.loading import load_project, prepare_manifest
from analytics_dagster.project.parse import DbtFailedError, Selection, changed_nodes
from analytics_dagster.project.profile import Target, load_target
from analytics_dagster.settings import Settings
from tests.unit.manifests import Manifest

if TYPE_CHECKING:
    from tests.conftest import Library, Preparation


def selections(settings: Settings) -> list[Selection]:
    return list(load_groups(settings).selections)


def locate(settings: Settings) -> tuple[DbtProjectFiles, Target]:
    files = find_project(settings)
    return files, load_target(files)


def load(library: Library, **others: Any) -> Any:
    settings = library.settings(**others)
    return load_project(*locate(settings), selections(settings))


def prepare(library: Library, **others: Any) -> list[str]:
    """Prepare the project, and return what was announced."""
    settings = library.settings(**others)
    lines: list[str] = []
    assert prepare_manifest(*locate(settings), selections(settings), lines.append) is bool(lines)
    return lines


# --- a prepared project ----------------------------------------------------------------------------------------


def test_two_processes_that_prepare_at_once_run_dbt_once(preparation: Preparation) -> None:
    lines = sorted(line.strip() for line in preparation.outputs)
    assert lines[0].startswith("Preparing the dbt project")
    assert "no manifest yet" in lines[0]
    assert lines[1] == "The manifest is up to date."


def test_a_prepared_project_has_the_nodes_of_each_selection(preparation: Preparation) -> None:
    project = load(preparation.library)
    closing_time, opening_time = (Selection(select="path:transformations/circulation"), Selection(select="shelf"))
    assert project.selected[opening_time] >= {"model.lending_library.shelf"}
    assert project.selected[closing_time] >= {
        "model.lending_library.members",
        "model.lending_library.late_returns",
    }
    assert "model.lending_library.shelf" not in project.selected[closing_time]
    assert project.directory == preparation.library.project
    assert project.artifacts == preparation.library.artifacts
    assert project.manifest["metadata"]["project_name"] == "lending_library"


def test_a_prepared_project_is_not_prepared_again(preparation: Preparation) -> None:
    before = preparation.library.manifest.stat()
    assert prepare(preparation.library) == []
    after = preparation.library.manifest.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_declared_packages_are_installed_by_the_preparation(preparation: Preparation) -> None:
    assert (preparation.library.project / "dbt_packages" / "local_macros" / "dbt_project.yml").is_file()


def test_a_prepared_project_can_be_moved(prepared: Library) -> None:
    # The other tests of this module rely on it.
    assert prepare(prepared) == []


# --- a project that is not prepared ----------------------------------------------------------------------------


def _unprepared(library: Library) -> str:
    shutil.rmtree(library.artifacts)
    return "There is no manifest"


def _interrupted(library: Library) -> str:
    # The record is written last: a killed preparation leaves a manifest without one.
    (library.artifacts / RECORD).unlink()
    return "it has no record of its inputs"


def _truncated(library: Library) -> str:
    library.manifest.write_bytes(library.manifest.read_bytes()[:1000])
    return "truncated"


def _changed(library: Library) -> str:
    path = library.project / "transformations" / "shelf.sql"
    path.write_text(path.read_text() + "-- changed")
    return f"stale: {path} changed"


def _regrouped(library: Library) -> str:
    path = library.project / "schedule_groups.yaml"
    path.write_text(path.read_text().replace("select: shelf", "select: shelf+"))
    return "stale: a schedule group's selection changed"


@pytest.mark.parametrize("damage", [_unprepared, _interrupted, _truncated, _changed, _regrouped])
def test_loading_an_unprepared_project_is_an_error_that_names_the_command(prepared: Library, damage: Any) -> None:
    message = damage(prepared)
    with pytest.raises(ProjectError) as raised:
        assert load(prepared).manifest["nodes"]
    assert message in raised.value.problem
    assert str(prepared.manifest) in raised.value.problem
    assert "`analytics-dagster prepare`" in raised.value.remedy


def test_another_target_needs_a_manifest_of_its_own(monkeypatch: pytest.MonkeyPatch, preparation: Preparation) -> None:
    monkeypatch.setenv("LIBRARY_SERVER_FILE", "server.duckdb")
    with pytest.raises(ProjectError, match="stale: the target changed"):
        load(preparation.library, dbt_target="server")


@pytest.mark.parametrize(
    ("setting", "variable", "configured", "expected"),
    [
        (None, None, None, "target"),
        (None, None, "build/dbt", "build/dbt"),
        (None, None, "\"../{{ env_var('OUT', 'out') }}\"", "../out"),
        (None, "of_the_shell", "build/dbt", "of_the_shell"),
        (Path("ours"), "of_the_shell", "build/dbt", "ours"),
    ],
)
def test_the_manifest_is_where_dbt_writes_it_unless_the_setting_overrides_it(
    library: Library,
    monkeypatch: pytest.MonkeyPatch,
    setting: Path | None,
    variable: str | None,
    configured: str | None,
    expected: str,
) -> None:
    if variable:
        monkeypatch.setenv("DBT_TARGET_PATH", variable)
    if configured:
        with (library.project / "dbt_project.yml").open("a") as file:
            file.write(f"\ntarget-path: {configured}\n")
    with pytest.raises(ProjectError, match="There is no manifest") as raised:
        load_project(*locate(library.settings(dbt_target_path=setting)), [])
    assert str((library.project / expected / "manifest.json").resolve()) in raised.value.problem


# --- a project that can't be prepared -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["absent", "."])
def test_a_folder_without_a_project_is_an_error_that_names_the_variable(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProjectError, match="is not a dbt project") as raised:
        find_project(Settings(dbt_project_dir=tmp_path / name))
    assert str((tmp_path / name).resolve()) in raised.value.problem
    assert "ANALYTICS_DBT_PROJECT_DIR" in raised.value.remedy


@pytest.mark.parametrize("content", [b"name: [", b"name: \xff\xfe", b"name: \x00"])
def test_an_unreadable_project_file_is_an_error_that_names_it(library: Library, content: bytes) -> None:
    path = library.project / "dbt_project.yml"
    path.write_bytes(content)
    with pytest.raises(ProjectError, match="can't be read") as raised:
        prepare(library)
    assert str(path) in raised.value.problem


def test_a_missing_adapter_is_an_error_that_names_its_package(library: Library) -> None:
    path = library.project / "profiles" / "profiles.yml"
    path.write_text(path.read_text().replace("type: duckdb", "type: snowflake"))
    with pytest.raises(ProjectError, match="of type 'snowflake'") as raised:
        prepare(library)
    assert "pip install dbt-snowflake" in raised.value.remedy


def test_a_target_without_a_type_is_an_error(library: Library) -> None:
    path = library.project / "profiles" / "profiles.yml"
    path.write_text(path.read_text().replace("type: duckdb", "threads_: 1"))
    with pytest.raises(ProjectError, match="type") as raised:
        prepare(library)
    assert not raised.value.remedy.endswith("dbt-"), "no package to install"


@pytest.mark.integration
def test_dbts_error_is_reported_and_the_project_stays_unprepared(
    prepared: Library,
) -> None:
    (prepared.project / "transformations" / "shelf.sql").write_text("select * from {{ ref('no_such_model') }}")
    with pytest.raises(ProjectError, match="no_such_model") as raised:
        prepare(prepared)
    assert "`dbt parse` failed" in raised.value.problem
    assert str(prepared.project) in raised.value.problem
    with pytest.raises(ProjectError, match="stale"):
        load(prepared)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("selection", "message", "remedy"),
    [
        ("selector: no_such_selector", "no_such_selector", "Correct the selection in the schedule groups"),
        ("select: 'state:modified'", "no comparison manifest", "set DBT_STATE"),
    ],
)
def test_a_selection_that_dbt_rejects_is_an_error_with_a_remedy(
    prepared: Library, selection: str, message: str, remedy: str
) -> None:
    path = prepared.project / "schedule_groups.yaml"
    path.write_text(path.read_text().replace("select: shelf", selection))
    with pytest.raises(ProjectError, match="`dbt ls --select") as raised:
        prepare(prepared)
    assert message in raised.value.problem
    assert remedy in raised.value.remedy


@pytest.mark.parametrize(
    ("command", "output", "remedy"),
    [
        ("dbt parse", "Compilation Error", "Correct what dbt reports"),
        ("dbt deps", "no such package", "Correct what dbt reports"),
        ("dbt ls --select tug:x", "'tug' is not a valid method name", "Correct the selection in the schedule groups"),
        ("dbt ls --select result:error", "Internal Error\n  No comparison run_results", "DBT_STATE"),
        ("dbt ls --selector new", "Got a state selector method, but no comparison manifest", "DBT_STATE"),
    ],
)
def test_the_remedy_depends_on_the_failed_command(command: str, output: str, remedy: str) -> None:
    assert remedy in DbtFailedError(command, output).remedy


# --- resolved selections -------------------------------------------------------------------------------------

WINTER = '{"season":"winter"}'
IN_WINTER = {
    "tagged": "{{ config(tags=[var('season', 'summer')]) }} select 1 as x",
    "closed": "{{ config(enabled=var('season', 'summer') != 'winter') }} select 1 as x",
    "opened": "{{ config(enabled=var('season', 'summer') == 'winter') }} select 1 as x",
    "reading": "select * from {{ ref('shelf' if var('season', 'summer') == 'winter' else 'books') }}",
    "renamed": "{{ config(alias='in_' ~ var('season', 'summer')) }} select 1 as x",
    "flowing": (
        "{{ config(materialized='ephemeral' if var('season', 'summer') == 'winter' else 'table') }} select 1 as x"
    ),
    "slower": "{{ config(materialized='view' if var('season', 'summer') == 'winter' else 'table') }} select 1 as x",
}
"""Models that a var changes, each differently."""


@pytest.fixture(scope="module")
def in_winter(
    preparation: Preparation, copy_prepared: Callable[..., Library], tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """Return a project whose groups have vars and a selector, prepared with variables that would override `dbt ls`."""
    library = copy_prepared(preparation.library, tmp_path_factory.mktemp("winter"))
    for name, body in IN_WINTER.items():
        (library.project / "transformations" / f"{name}.sql").write_text(body)
    # A default selector and these variables limit what `dbt ls` lists; the plan would lose nodes.
    (library.project / "selectors.yml").write_text(
        "selectors: [{name: the_shelf, default: true, definition: {method: fqn, value: shelf}}]"
    )
    regroup(
        library,
        "groups:\n"
        "- {name: by_selector, selector: the_shelf}\n"
        "- {name: winter, select: 'tag:winter', vars: {season: winter}}\n"
        "- {name: never, select: 'tag:winter'}\n"
        "- {name: rest, select: '*', default: true}\n",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "model seed")
        patch.setenv("DBT_RESOURCE_TYPES", "test")
        prepare(library)
        return load(library)


def regroup(library: Library, content: str) -> None:
    (library.project / "schedule_groups.yaml").write_text(content)


def models(unique_ids: frozenset[str]) -> set[str]:
    return {unique_id.rpartition(".")[2] for unique_id in unique_ids if unique_id.startswith("model.")}


@pytest.mark.integration
def test_selections_are_resolved_with_their_own_vars_and_without_overrides(
    in_winter: Any,
) -> None:
    named = {selection: models(unique_ids) for selection, unique_ids in in_winter.selected.items()}
    assert named[Selection(selector="the_shelf")] == {"shelf"}
    assert named[Selection(select="tag:winter", variables=WINTER)] == {"tagged"}
    assert named[Selection(select="tag:winter")] == set()
    assert named[Selection(select="*")] >= {"shelf", "members", "late_returns", "tagged"}
    assert {unique_id.partition(".")[0] for unique_id in in_winter.selected[Selection(select="*")]} >= {"seed", "test"}
    tagged = in_winter.manifest["nodes"]["model.lending_library.tagged"]
    assert tagged["tags"] == ["summer"], "the manifest has the location's own vars"


@pytest.mark.integration
def test_nodes_that_a_groups_vars_change_are_found(in_winter: Any) -> None:
    changed = in_winter.selected[Selection(variables=WINTER, changed=True)]
    assert models(changed) == IN_WINTER.keys() - {"tagged", "slower"}, "a tag or a view changes no graph"


def test_a_disabled_test_that_only_a_full_parse_lists_is_no_change() -> None:
    # One of the two manifests is from a full parse, the other from a partial one.
    with_it, without = Manifest().model("x").test("off", "model.p.x"), Manifest().model("x")
    with_it.nodes["test.p.off"]["config"]["enabled"] = False
    assert changed_nodes(with_it.content, without.content) == []
    with_it.nodes["test.p.off"]["config"]["enabled"] = True
    assert changed_nodes(with_it.content, without.content) == ["test.p.off"]


@pytest.mark.integration
def test_dbt_state_is_used_and_its_change_makes_the_manifest_stale(
    prepared: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = prepared.project / "last_release"
    state.mkdir()
    shutil.copy(prepared.manifest, state)
    monkeypatch.setenv("DBT_STATE", "last_release")
    path = prepared.project / "transformations" / "shelf.sql"
    path.write_text(path.read_text() + "-- changed\n")
    regroup(prepared, "groups: [{name: new, select: 'state:modified.body'}]")
    prepare(prepared)
    assert models(load(prepared).selected[Selection(select="state:modified.body")]) == {"shelf"}
    shutil.copy(prepared.manifest, state)
    with pytest.raises(ProjectError, match="stale: the state to compare with changed"):
        load(prepared)


def test_a_file_that_changes_during_the_parse_makes_the_manifest_stale(
    prepared: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    # dbt may have parsed the old content. The patched function changes the file, as an editor would.
    from analytics_dagster.project import parse

    path = prepared.project / "transformations" / "shelf.sql"
    (prepared.artifacts / RECORD).unlink()

    def parse_and_change(request: parse.ParseRequest) -> tuple[frozenset[str], ...]:
        path.write_text(path.read_text() + "-- changed during the parse\n")
        return (frozenset(),) * len(request.selections)

    with monkeypatch.context() as patch:
        patch.setattr(parse, "parse", parse_and_change)
        prepare(prepared)
    with pytest.raises(ProjectError, match="stale"):
        load(prepared)
