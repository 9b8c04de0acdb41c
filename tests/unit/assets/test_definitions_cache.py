"""The cache of dbt's definitions: equal to new definitions, never stale, and sufficient for a load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from analytics_dagster.assets import definitions_cache
from analytics_dagster.assets.dbt_definitions import DbtDefinitions, make_dbt_definitions
from analytics_dagster.assets.definitions_cache import CACHE_FILE, DefinitionsCache
from analytics_dagster.errors import ProjectError
from analytics_dagster.location import Location, build_location, prepare_location
from analytics_dagster.planning.build import make_plan
from analytics_dagster.planning.groups_file import load_groups
from analytics_dagster.project.files import find_project
from analytics_dagster.project.loading import load_project
from analytics_dagster.project.profile import load_target

if TYPE_CHECKING:
    from tests.conftest import Library, Preparation

MEMBERS = "model.lending_library.members"


def definitions_of(library: Library, **others: Any) -> tuple[DefinitionsCache, DbtDefinitions]:
    """Return the cache, and definitions made from the manifest."""
    settings = library.settings(**others)
    groups = load_groups(settings)
    files = find_project(settings)
    project = load_project(files, load_target(files), groups.selections)
    plan = make_plan(groups, project.manifest, project.selected).require()
    definitions = make_dbt_definitions(project, plan, {"nodes": {}, "sources": {}}, unit_tests=settings.unit_tests)
    return DefinitionsCache(project, groups, settings.unit_tests), definitions


# --- reading and writing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit_tests", [False, True])
def test_cached_definitions_equal_the_written_ones(prepared: Library, *, unit_tests: bool) -> None:
    file, definitions = definitions_of(prepared, unit_tests=unit_tests)
    assert file.write(definitions)
    assert file.read() == definitions
    # The comparison is not of empty definitions.
    assert len(definitions.nodes) == 6
    assert len(definitions.others) == 1
    assert definitions.nodes[MEMBERS].metadata["dagster/column_schema"].columns


def test_rare_metadata_and_conditions_are_cached(prepared: Library) -> None:
    file, definitions = definitions_of(prepared)
    spec = definitions.nodes[MEMBERS]
    rare = {
        "url": dg.MetadataValue.url("https://example.com"),
        "none": None,
        "share": 0.5,
        "on": True,
        "schema": dg.TableSchema(
            columns=[
                dg.TableColumn("id", constraints=dg.TableColumnConstraints(nullable=False)),
                dg.TableColumn("name", "text", "Who it is.", tags={"pii": ""}),
            ]
        ),
        "several": dg.MetadataValue.json({"a": [1, {"b": None}]}),
        "rows": ["a", 1],
    }
    spec = spec.merge_attributes(metadata=rare).replace_attributes(
        automation_condition=dg.AutomationCondition.eager(), code_version="1"
    )
    changed = replace(definitions, nodes={**definitions.nodes, MEMBERS: spec})
    assert file.write(changed)
    assert file.read() == changed


def test_definitions_that_would_be_read_differently_are_not_written(prepared: Library) -> None:
    file, definitions = definitions_of(prepared)
    (prepared.artifacts / CACHE_FILE).unlink()
    partitioned = definitions.nodes[MEMBERS].replace_attributes(partitions_def=dg.StaticPartitionsDefinition(["a"]))
    assert not file.write(replace(definitions, nodes={**definitions.nodes, MEMBERS: partitioned}))
    unwritable = definitions.nodes[MEMBERS].merge_attributes(metadata={"an object": object()})
    assert not file.write(replace(definitions, nodes={**definitions.nodes, MEMBERS: unwritable}))
    assert not file.is_current
    assert file.read() is None


def described(location: Location) -> Any:
    """Return everything that a location defines, as values that can be compared."""
    repository = location.definitions.get_repository_def()
    graph = repository.asset_graph
    steps = {
        assets.op.name: (
            sorted(assets.keys_by_input_name.items()),
            sorted(assets.keys_by_output_name.items()),
            sorted(assets.check_specs_by_output_name),
        )
        for assets in graph.assets_defs
        if assets.is_executable and assets.op.name.startswith("dbt_")
    }
    return (
        steps,
        {key: graph.get(key).to_asset_spec() for key in graph.get_all_asset_keys()},
        {check: graph.get(check) for check in graph.asset_check_keys}.keys(),
        {check: assets.get_spec_for_check_key(check) for assets in graph.assets_defs for check in assets.check_keys},
        {job.name: (sorted(job.asset_layer.selected_asset_keys), job.tags) for job in repository.get_all_jobs()},
        [(one.name, one.cron_schedule) for one in repository.schedule_defs],
        [one.name for one in repository.sensor_defs],
        location.plan,
        location.consumers.started_with,
        location.ingestion.tables,
    )


@pytest.mark.parametrize("unit_tests", [False, True])
def test_the_location_is_the_same_with_and_without_the_cache(prepared: Library, *, unit_tests: bool) -> None:
    settings = prepared.settings(unit_tests=unit_tests)
    prepare_location(settings, print)
    assert (prepared.artifacts / CACHE_FILE).exists()
    with_cache = build_location(settings)
    assert "manifest" not in vars(with_cache.project), "the manifest was read"
    (prepared.artifacts / CACHE_FILE).unlink()
    without = build_location(settings)
    assert "manifest" in vars(without.project)
    assert described(with_cache) == described(without)
    assert not (prepared.artifacts / CACHE_FILE).exists(), "a load outside of `dagster dev` writes nothing"


def test_failure_reports_know_paths_of_nodes_without_the_manifest(prepared: Library) -> None:
    settings = prepared.settings()
    prepare_location(settings, print)
    location = build_location(settings)
    catalog = location.report_reader.catalog(location.definitions.get_repository_def())
    assert catalog["circulation/members"].path == "transformations/circulation/members.sql"
    assert "manifest" not in vars(location.project)


# --- stale caches ---------------------------------------------------------------------------------------------


def _change_manifest(library: Library, _: pytest.MonkeyPatch) -> None:
    before = library.manifest.stat()
    content = library.manifest.read_bytes()
    library.manifest.write_bytes(content.replace(b"number of copies", b"number of books!"))
    # Size and time stay the same.
    os.utime(library.manifest, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert library.manifest.stat().st_size == before.st_size


def _change_groups(library: Library, _: pytest.MonkeyPatch) -> None:
    path = library.project / "schedule_groups.yaml"
    path.write_text(path.read_text().replace("- name: opening_time", "- name: opening_time\n    retries: 3"))


def _change_selected(library: Library, _: pytest.MonkeyPatch) -> None:
    path = library.artifacts / "analytics_dagster.json"
    record = json.loads(path.read_text())
    next(iter(record["selected"].values())).append("model.lending_library.new")
    path.write_text(json.dumps(record))


def _change_dagster(_: Library, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(definitions_cache, "version", lambda name: f"another {name}")


def _change_code(library: Library, patch: pytest.MonkeyPatch) -> None:
    (library.folder / "package").mkdir()
    (library.folder / "package" / "new.py").touch()
    patch.setattr(definitions_cache, "_PACKAGE", library.folder / "package")


def _truncate(library: Library, _: pytest.MonkeyPatch) -> None:
    path = library.artifacts / CACHE_FILE
    path.write_bytes(path.read_bytes()[:-100])


def _empty(library: Library, _: pytest.MonkeyPatch) -> None:
    (library.artifacts / CACHE_FILE).write_bytes(b"")


CHANGES = [_change_manifest, _change_groups, _change_selected, _change_dagster, _change_code, _truncate, _empty]


@pytest.mark.parametrize("change", CHANGES)
def test_a_stale_or_damaged_cache_is_not_read(prepared: Library, monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    prepare_location(prepared.settings(), print)
    assert definitions_of(prepared)[0].read() is not None
    change(prepared, monkeypatch)
    assert definitions_of(prepared)[0].read() is None


def test_a_cache_without_unit_tests_is_stale_for_a_location_with_them(prepared: Library) -> None:
    prepare_location(prepared.settings(), print)
    assert definitions_of(prepared, unit_tests=True)[0].read() is None


def test_a_changed_manifest_changes_the_location(prepared: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_location(prepared.settings(), print)
    _change_manifest(prepared, monkeypatch)
    location = build_location(prepared.settings())
    spec = location.definitions.resolve_asset_graph().get(dg.AssetKey("shelf")).to_asset_spec()
    assert spec.description == "The number of books! on the shelf now."


def test_a_truncated_manifest_is_an_error_despite_the_cache(prepared: Library) -> None:
    prepare_location(prepared.settings(), print)
    prepared.manifest.write_bytes(prepared.manifest.read_bytes()[:1000])
    with pytest.raises(ProjectError, match="truncated"):
        build_location(prepared.settings())


def test_a_moved_project_keeps_its_cache_with_the_new_paths(
    prepared: Library,
) -> None:
    file, _ = definitions_of(prepared)
    kept = file.read()
    assert kept is not None
    (reference,) = kept.nodes[MEMBERS].metadata["dagster/code_references"].code_references
    assert reference.file_path == str(prepared.project / "transformations" / "circulation" / "members.sql")


def test_dagster_dev_writes_a_missing_cache(prepared: Library) -> None:
    (prepared.artifacts / CACHE_FILE).unlink()
    build_location(prepared.settings(is_dev_cli=True))
    assert definitions_of(prepared)[0].is_current


def test_prepare_writes_a_missing_cache_and_reports_that_dbt_did_not_parse(
    prepared: Library,
) -> None:
    (prepared.artifacts / CACHE_FILE).unlink()
    assert not prepare_location(prepared.settings(), print)
    assert definitions_of(prepared)[0].is_current


# --- a load -------------------------------------------------------------------------------------------------

HEAVY = {
    *("dagster_dbt", "dbt", "dagster_slack", "dlt", "duckdb", "fsspec", "jinja2", "matplotlib", "pandas", "pyarrow"),
    *("requests", "sklearn", "sqlalchemy", "sqlglot", "numpy", "psutil"),
}
_LOAD = """
import sys, json
import dagster
before = set(sys.modules)
import analytics_dagster.definitions
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


def test_a_load_imports_no_library_that_only_runs_need(preparation: Preparation) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOAD],
        env={**os.environ, **preparation.library.environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    imported = set(json.loads(done.stdout.splitlines()[-1]))
    assert "analytics_dagster" in imported
    # The profile of the library has Jinja expressions.
    assert imported & HEAVY == {"jinja2"}
