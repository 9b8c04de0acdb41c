"""The record of a parse: what makes a manifest stale, what does not, and what is never recorded."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from analytics_dagster.project.files import find_project
from analytics_dagster.project.fingerprint import RECORD, ParseInputs, read_inputs, read_record, write_record
from analytics_dagster.project.parse import Selection
from analytics_dagster.project.profile import find_profiles_dir, read_target
from analytics_dagster.settings import Settings

if TYPE_CHECKING:
    from tests.conftest import Library

VARS = '{"day":1}'
SELECTIONS = (
    Selection(select="tag:a"),
    Selection(selector="b"),
    Selection(select="tag:a", variables=VARS),
    Selection(variables=VARS, changed=True),
)
SELECTED = (frozenset({"model.p.x", "model.p.y"}), frozenset({"seed.p.z"}), frozenset({"model.p.x"}), frozenset[str]())
MODEL = "transformations/shelf.sql"


def inputs(library: Library, settings: Settings | None = None, variables: str = "{}") -> ParseInputs:
    files = replace(find_project(settings or library.settings()), variables=variables)
    # Not `load_target`, which requires the adapter to be installed.
    target = read_target(find_profiles_dir(files), files.profile, files.target or "laptop", files.vars)
    return read_inputs(files, target)


def write(library: Library) -> None:
    library.artifacts.mkdir()
    write_record(library.artifacts, inputs(library), SELECTIONS, SELECTED)


def difference(
    library: Library,
    settings: Settings | None = None,
    selections: Sequence[Selection] = SELECTIONS,
    variables: str = "{}",
) -> str:
    record = read_record(library.artifacts)
    assert record is not None
    return record.difference(inputs(library, settings, variables), selections) or ""


def test_the_record_has_what_was_selected(library: Library) -> None:
    write(library)
    record = read_record(library.artifacts)
    assert record is not None
    assert tuple(map(record.selected_by, SELECTIONS)) == SELECTED
    assert difference(library) == ""


def test_a_part_of_the_recorded_selections_is_no_change(library: Library) -> None:
    write(library)
    assert difference(library, selections=SELECTIONS[:1]) == ""


def test_a_new_selection_is_a_change(library: Library) -> None:
    write(library)
    assert "selection changed" in difference(library, selections=[*SELECTIONS, Selection(select="tag:c")])


@pytest.mark.parametrize(
    "selection",
    [
        Selection(select="tag:a", variables='{"day":2}'),
        Selection(selector="b", variables=VARS),
        Selection(selector="tag:a"),
        Selection(variables=VARS),
    ],
)
def test_a_selection_with_other_vars_or_as_a_selector_is_a_change(library: Library, selection: Selection) -> None:
    write(library)
    assert "selection changed" in difference(library, selections=[selection])


def test_changed_vars_of_the_location_are_a_change(library: Library) -> None:
    write(library)
    assert difference(library, variables=VARS) == "the dbt vars changed"


def test_a_touched_file_with_equal_content_is_no_change(library: Library) -> None:
    write(library)
    path = library.project / MODEL
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 10**9))
    assert difference(library) == ""


@pytest.mark.parametrize(
    "name",
    [
        MODEL,
        "transformations/models.yml",
        "reference/books.csv",
        "history/book_history.yml",
        "reconciliations/no_book_is_lent_more_often_than_it_has_copies.sql",
        "dbt_project.yml",
        "packages.yml",
        "selectors.yml",
        ".dbtignore",
        "functions/in_euro.sql",
    ],
)
def test_a_changed_file_is_named(library: Library, name: str) -> None:
    path = library.project / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    write(library)
    path = library.project / name
    path.write_text(path.read_text() + "\n")
    assert difference(library) == f"{path} changed"


def test_changed_content_of_the_same_size_is_a_change(library: Library) -> None:
    write(library)
    path = library.project / MODEL
    path.write_text(path.read_text().swapcase())
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 10**9))
    assert difference(library) == f"{path} changed"


def test_an_added_file_is_named(library: Library) -> None:
    write(library)
    path = library.project / "transformations" / "new" / "fines.sql"
    path.parent.mkdir()
    path.write_text("select 1")
    assert difference(library) == f"{path} was added"


def test_a_removed_file_is_named(library: Library) -> None:
    write(library)
    (library.project / MODEL).unlink()
    assert difference(library) == f"{library.project / MODEL} was removed"


@pytest.mark.parametrize(
    "name",
    ["README.md", "transformations/notes.txt", "transformations/.hidden/draft.sql", "target/manifest.json", "x.sql"],
)
def test_a_file_that_dbt_does_not_read_is_no_change(library: Library, name: str) -> None:
    write(library)
    path = library.project / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("anything")
    assert difference(library) == ""


def test_a_changed_package_is_found_through_its_symbolic_link(library: Library) -> None:
    installed = library.project / "dbt_packages"
    installed.mkdir()
    (installed / "local_macros").symlink_to(library.project / "packages" / "local_macros")
    write(library)
    path = installed / "local_macros" / "macros" / "days_late.sql"
    path.write_text(path.read_text() + "\n")
    assert difference(library) == f"{path} changed"


def test_another_target_is_a_change(monkeypatch: pytest.MonkeyPatch, library: Library) -> None:
    write(library)
    monkeypatch.setenv("LIBRARY_SERVER_FILE", "server.duckdb")
    assert difference(library, library.settings(dbt_target="server")) == "the target changed"


def write_profile(library: Library, **output: Any) -> None:
    profile = {"target": "laptop", "outputs": {"laptop": output}}
    (library.project / "profiles" / "profiles.yml").write_text(yaml.safe_dump({"library": profile}))


SERVER = {"type": "postgres", "host": "none", "user": "none", "password": "none", "dbname": "w", "schema": "analytics"}


@pytest.mark.parametrize(
    "changed",
    [
        {"host": "db.example.com"},
        {"port": 6543},
        {"user": "dbt"},
        {"password": "{{ env_var('LIBRARY_FILE', 'hunter2') }}"},
        {"threads": 8},
        {"sslmode": "verify-full"},
    ],
)
def test_another_host_user_or_password_is_no_change(library: Library, changed: Mapping[str, Any]) -> None:
    write_profile(library, **SERVER)
    write(library)
    write_profile(library, **{**SERVER, **changed})
    assert difference(library) == ""


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"dbname": "other"}, "the target's database changed"),
        ({"schema": "other"}, "the target's schema changed"),
        ({"type": "redshift"}, "the target's adapter changed"),
    ],
)
def test_another_database_schema_or_adapter_is_a_change(
    library: Library, changed: Mapping[str, Any], named: str
) -> None:
    write_profile(library, **SERVER)
    write(library)
    write_profile(library, **{**SERVER, **changed})
    assert difference(library) == named


def test_another_key_for_the_same_database_is_no_change(library: Library) -> None:
    write_profile(library, **SERVER)
    write(library)
    write_profile(library, **{"database" if key == "dbname" else key: value for key, value in SERVER.items()})
    assert difference(library) == ""


def test_a_variable_of_the_profile_is_a_change_only_if_the_database_changes(
    monkeypatch: pytest.MonkeyPatch, library: Library
) -> None:
    write(library)
    monkeypatch.setenv("LIBRARY_FILE", "elsewhere/library.duckdb")
    assert difference(library) == ""
    monkeypatch.setenv("LIBRARY_FILE", "elsewhere.duckdb")
    assert difference(library) == "the target's database changed"


def test_a_changed_variable_of_a_model_is_a_change(monkeypatch: pytest.MonkeyPatch, library: Library) -> None:
    path = library.project / "transformations" / "shelf.sql"
    path.write_text(path.read_text() + "-- {{ env_var('LIBRARY_BRANCH', 'main') }}\n")
    write(library)
    monkeypatch.setenv("LIBRARY_BRANCH", "harbour")
    assert "LIBRARY_BRANCH" in str(difference(library))


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("name", ["manifest.json", "run_results.json", "sources.json"])
def test_another_state_to_compare_with_is_a_change(
    monkeypatch: pytest.MonkeyPatch, library: Library, name: str, *, absolute: bool
) -> None:
    # The result of `state:modified` depends on it; dbt resolves a relative folder from the project's.
    state = library.project / "last_release"
    state.mkdir()
    monkeypatch.setenv("DBT_STATE", str(state) if absolute else "last_release")
    write(library)
    assert difference(library) == ""
    (state / name).write_text("{}")
    assert difference(library) == "the state to compare with changed"


def test_removing_the_state_to_compare_with_is_a_change(monkeypatch: pytest.MonkeyPatch, library: Library) -> None:
    (library.project / "manifest.json").write_text("{}")
    monkeypatch.setenv("DBT_STATE", ".")
    write(library)
    monkeypatch.delenv("DBT_STATE")
    assert difference(library) == "the state to compare with changed"


def test_a_variable_that_no_file_names_is_no_change(monkeypatch: pytest.MonkeyPatch, library: Library) -> None:
    write(library)
    monkeypatch.setenv("LIBRARY_UNHEARD_OF", "anything")
    assert difference(library) == ""


@pytest.mark.parametrize("name", ["LIBRARY_PASSWORD", "LIBRARY_SECRET_KEY", "DBT_ENV_SECRET_X", "LIBRARY_TOKEN"])
def test_a_secret_variable_is_neither_recorded_nor_a_change(
    monkeypatch: pytest.MonkeyPatch, library: Library, name: str
) -> None:
    path = library.project / MODEL
    path.write_text(path.read_text() + f"-- {{{{ env_var('{name}') }}}}\n")
    monkeypatch.setenv(name, "hunter2")
    write(library)
    content = (library.artifacts / RECORD).read_text()
    assert "hunter2" not in content
    monkeypatch.setenv(name, "another")
    assert difference(library) == ""


def test_the_record_has_no_value_of_a_variable(monkeypatch: pytest.MonkeyPatch, library: Library) -> None:
    path = library.project / MODEL
    path.write_text(path.read_text() + "-- {{ env_var('LIBRARY_BRANCH') }}\n")
    monkeypatch.setenv("LIBRARY_BRANCH", "a_value_to_look_for")
    # The path of a database may be a connection string with a password.
    monkeypatch.setenv("LIBRARY_FILE", "ducklake:postgres:password=another_to_look_for")
    write(library)
    selection = Selection(select="a", variables='{"token": "of_a_group_to_look_for"}')
    write_record(library.artifacts, inputs(library), [selection], [frozenset({"model.a"})])
    assert "to_look_for" not in (library.artifacts / RECORD).read_text()


@pytest.mark.parametrize("content", [None, "", "{", "[]", "null", "{}", '{"version": 0}', '{"version": 1}'])
def test_an_unreadable_record_is_none(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / RECORD).write_text(content)
    assert read_record(tmp_path) is None


def test_writing_a_record_leaves_no_temporary_file(library: Library) -> None:
    write(library)
    assert [path.name for path in library.artifacts.iterdir()] == [RECORD]
