"""The record of a preparation: what makes a manifest stale, what does not, and what the record never holds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from analytics_dagster.project.fingerprint import (
    RECORD,
    Inputs,
    read_configuration,
    read_inputs,
    read_record,
    write_record,
)
from analytics_dagster.project.parse import Selection
from analytics_dagster.project.profile import load_target
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


def inputs(library: Library, settings: Settings | None = None, variables: str = "{}") -> Inputs:
    configuration = read_configuration(library.project / "dbt_project.yml")
    target = load_target(settings or library.settings(), "library")
    return read_inputs(library.project, configuration, target, library.artifacts, variables)


def write(library: Library) -> None:
    library.artifacts.mkdir()
    write_record(library.artifacts, inputs(library), SELECTIONS, SELECTED)


def difference(
    library: Library,
    settings: Settings | None = None,
    asked: Sequence[Selection] = SELECTIONS,
    variables: str = "{}",
) -> str:
    record = read_record(library.artifacts)
    assert record is not None
    return record.difference(inputs(library, settings, variables), asked) or ""


def test_what_was_selected_is_kept_with_the_record(library: Library) -> None:
    write(library)
    record = read_record(library.artifacts)
    assert record is not None
    assert (record.selections, record.selected) == (SELECTIONS, SELECTED)
    assert difference(library) == ""


def test_fewer_selections_than_were_recorded_fit(library: Library) -> None:
    write(library)
    assert difference(library, asked=SELECTIONS[:1]) == ""


def test_a_selection_that_was_not_recorded_is_a_change(library: Library) -> None:
    write(library)
    assert "selection changed" in difference(library, asked=[*SELECTIONS, Selection(select="tag:c")])


@pytest.mark.parametrize(
    "asked",
    [
        Selection(select="tag:a", variables='{"day":2}'),
        Selection(selector="b", variables=VARS),
        Selection(selector="tag:a"),
        Selection(variables=VARS),
    ],
)
def test_the_same_selection_under_other_vars_or_by_another_name_is_another(library: Library, asked: Selection) -> None:
    write(library)
    assert "selection changed" in difference(library, asked=[asked])


def test_other_vars_of_the_location_are_a_change(library: Library) -> None:
    write(library)
    assert difference(library, variables=VARS) == "the dbt vars changed"


def test_a_file_that_was_touched_but_is_equal_is_no_change(library: Library) -> None:
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
def test_a_file_of_another_content_is_a_change_that_names_it(library: Library, name: str) -> None:
    path = library.project / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    write(library)
    path = library.project / name
    path.write_text(path.read_text() + "\n")
    assert difference(library) == f"{path} changed"


def test_another_content_of_the_same_size_is_a_change(library: Library) -> None:
    write(library)
    path = library.project / MODEL
    path.write_text(path.read_text().swapcase())
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 10**9))
    assert difference(library) == f"{path} changed"


def test_an_added_file_is_a_change_that_names_it(library: Library) -> None:
    write(library)
    path = library.project / "transformations" / "new" / "fines.sql"
    path.parent.mkdir()
    path.write_text("select 1")
    assert difference(library) == f"{path} was added"


def test_a_removed_file_is_a_change_that_names_it(library: Library) -> None:
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


def test_an_installed_package_that_changes_is_a_change_through_its_link(library: Library) -> None:
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
def test_where_the_warehouse_is_and_who_asks_it_is_no_change(library: Library, changed: Mapping[str, Any]) -> None:
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
def test_what_the_names_of_relations_are_made_of_is_a_change(
    library: Library, changed: Mapping[str, Any], named: str
) -> None:
    write_profile(library, **SERVER)
    write(library)
    write_profile(library, **{**SERVER, **changed})
    assert difference(library) == named


def test_another_name_for_the_same_is_no_change(library: Library) -> None:
    write_profile(library, **SERVER)
    write(library)
    write_profile(library, **{"database" if key == "dbname" else key: value for key, value in SERVER.items()})
    assert difference(library) == ""


def test_a_variable_that_the_profile_alone_names_is_a_change_only_by_what_it_comes_to(
    monkeypatch: pytest.MonkeyPatch, library: Library
) -> None:
    write(library)
    monkeypatch.setenv("LIBRARY_FILE", "elsewhere/library.duckdb")
    assert difference(library) == ""
    monkeypatch.setenv("LIBRARY_FILE", "elsewhere.duckdb")
    assert difference(library) == "the target's database changed"


def test_a_variable_that_a_model_names_is_a_change(monkeypatch: pytest.MonkeyPatch, library: Library) -> None:
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
    # What `state:modified` names depends on it; dbt takes a relative folder from the project's.
    state = library.project / "last_release"
    state.mkdir()
    monkeypatch.setenv("DBT_STATE", str(state) if absolute else "last_release")
    write(library)
    assert difference(library) == ""
    (state / name).write_text("{}")
    assert difference(library) == "the state to compare with changed"


def test_no_state_to_compare_with_any_more_is_a_change(monkeypatch: pytest.MonkeyPatch, library: Library) -> None:
    (library.project / "manifest.json").write_text("{}")
    monkeypatch.setenv("DBT_STATE", ".")
    write(library)
    monkeypatch.delenv("DBT_STATE")
    assert difference(library) == "the state to compare with changed"


def test_a_variable_that_nothing_names_is_no_change(monkeypatch: pytest.MonkeyPatch, library: Library) -> None:
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


def test_the_record_holds_no_variables_value(monkeypatch: pytest.MonkeyPatch, library: Library) -> None:
    path = library.project / MODEL
    path.write_text(path.read_text() + "-- {{ env_var('LIBRARY_BRANCH') }}\n")
    monkeypatch.setenv("LIBRARY_BRANCH", "a_value_to_look_for")
    # As a path a database may be named with all that is needed to connect to it.
    monkeypatch.setenv("LIBRARY_FILE", "ducklake:postgres:password=another_to_look_for")
    write(library)
    assert "to_look_for" not in (library.artifacts / RECORD).read_text()


@pytest.mark.parametrize("content", [None, "", "{", "[]", "null", "{}", '{"version": 0}', '{"version": 1}'])
def test_a_record_that_can_not_be_read_is_none(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / RECORD).write_text(content)
    assert read_record(tmp_path) is None


def test_writing_a_record_leaves_nothing_beside_it(library: Library) -> None:
    write(library)
    assert [path.name for path in library.artifacts.iterdir()] == [RECORD]
