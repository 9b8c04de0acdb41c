"""The facts beside the manifest: the same whichever way they come, never stale, and all that a load needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

# What `serialize_value` raises; see `definitions_cache`.
from dagster_shared.serdes.errors import SerializationError

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


def facts_of(library: Library, **others: Any) -> tuple[DefinitionsCache, DbtDefinitions]:
    """Return the file, and the facts as the manifest has them."""
    settings = library.settings(**others)
    groups = load_groups(settings)
    files = find_project(settings)
    project = load_project(files, load_target(files), groups.selections)
    plan = make_plan(groups, project.manifest, project.selected).require()
    facts = make_dbt_definitions(project, plan, {"nodes": {}, "sources": {}}, unit_tests=settings.unit_tests)
    return DefinitionsCache(project, groups, settings.unit_tests), facts


# --- both ways ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit_tests", [False, True])
def test_facts_that_were_kept_are_the_facts(prepared: Library, *, unit_tests: bool) -> None:
    file, facts = facts_of(prepared, unit_tests=unit_tests)
    assert file.write(facts)
    assert file.read() == facts
    # What is compared is more than nothing.
    assert len(facts.nodes) == 6
    assert len(facts.others) == 1
    assert facts.nodes[MEMBERS].metadata["dagster/column_schema"].columns


def test_what_is_rare_is_kept_too(prepared: Library) -> None:
    file, facts = facts_of(prepared)
    spec = facts.nodes[MEMBERS]
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
    changed = replace(facts, nodes={**facts.nodes, MEMBERS: spec})
    assert file.write(changed)
    assert file.read() == changed


def test_what_would_be_another_when_it_is_read_is_not_kept(prepared: Library) -> None:
    file, facts = facts_of(prepared)
    (prepared.artifacts / CACHE_FILE).unlink()
    partitioned = facts.nodes[MEMBERS].replace_attributes(partitions_def=dg.StaticPartitionsDefinition(["a"]))
    assert not file.write(replace(facts, nodes={**facts.nodes, MEMBERS: partitioned}))
    unwritable = facts.nodes[MEMBERS].merge_attributes(metadata={"an object": object()})
    with pytest.raises(SerializationError):
        dg.serialize_value(object())  # type: ignore[arg-type] # what the next line rests on
    assert not file.write(replace(facts, nodes={**facts.nodes, MEMBERS: unwritable}))
    assert not file.is_current
    assert file.read() is None


def described(location: Location) -> Any:
    """Return all that a location defines, as values that can be compared."""
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
def test_the_definitions_are_the_same_whether_facts_were_kept_or_not(prepared: Library, *, unit_tests: bool) -> None:
    settings = prepared.settings(unit_tests=unit_tests)
    prepare_location(settings, print)
    assert (prepared.artifacts / CACHE_FILE).exists()
    with_facts = build_location(settings)
    assert "_content" not in vars(with_facts.project.manifest), "the manifest was not to be read"
    (prepared.artifacts / CACHE_FILE).unlink()
    without = build_location(settings)
    assert "_content" in vars(without.project.manifest)
    assert described(with_facts) == described(without)
    assert not (prepared.artifacts / CACHE_FILE).exists(), "a mere load writes nothing"


def test_who_tells_of_failures_knows_the_files_of_nodes_without_reading_the_manifest(prepared: Library) -> None:
    settings = prepared.settings()
    prepare_location(settings, print)
    location = build_location(settings)
    catalog = location.report_reader.catalog(location.definitions.get_repository_def())
    assert catalog["circulation/members"].path == "transformations/circulation/members.sql"
    assert "_content" not in vars(location.project.manifest)


# --- stale ones ---------------------------------------------------------------------------------------------


def _change_manifest(library: Library, _: pytest.MonkeyPatch) -> None:
    before = library.manifest.stat()
    content = library.manifest.read_bytes()
    library.manifest.write_bytes(content.replace(b"number of copies", b"number of books!"))
    # Neither size nor time tell.
    os.utime(library.manifest, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert library.manifest.stat().st_size == before.st_size


def _change_groups(library: Library, _: pytest.MonkeyPatch) -> None:
    path = library.project / "schedule_groups.yaml"
    path.write_text(path.read_text().replace("- name: opening_time", "- name: opening_time\n    retries: 3"))


def _change_selected(library: Library, _: pytest.MonkeyPatch) -> None:
    path = library.artifacts / "analytics_dagster.json"
    record = json.loads(path.read_text())
    record["selections"][0]["unique_ids"].append("model.lending_library.new")
    path.write_text(json.dumps(record))


def _change_dagster(_: Library, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(definitions_cache, "version", lambda name: f"another {name}")


def _change_code(library: Library, patch: pytest.MonkeyPatch) -> None:
    (library.folder / "package").mkdir()
    (library.folder / "package" / "new.py").touch()
    patch.setattr(definitions_cache, "_PACKAGE", library.folder / "package")


def _cut_off(library: Library, _: pytest.MonkeyPatch) -> None:
    path = library.artifacts / CACHE_FILE
    path.write_bytes(path.read_bytes()[:-100])


def _empty(library: Library, _: pytest.MonkeyPatch) -> None:
    (library.artifacts / CACHE_FILE).write_bytes(b"")


CHANGES = [_change_manifest, _change_groups, _change_selected, _change_dagster, _change_code, _cut_off, _empty]


@pytest.mark.parametrize("change", CHANGES)
def test_facts_that_no_longer_fit_are_not_read(prepared: Library, monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    prepare_location(prepared.settings(), print)
    assert facts_of(prepared)[0].read() is not None
    change(prepared, monkeypatch)
    assert facts_of(prepared)[0].read() is None


def test_facts_without_unit_tests_are_none_for_a_location_with_them(prepared: Library) -> None:
    prepare_location(prepared.settings(), print)
    assert facts_of(prepared, unit_tests=True)[0].read() is None


def test_a_changed_manifest_is_what_the_location_is_made_of(prepared: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_location(prepared.settings(), print)
    _change_manifest(prepared, monkeypatch)
    location = build_location(prepared.settings())
    spec = location.definitions.resolve_asset_graph().get(dg.AssetKey("shelf")).to_asset_spec()
    assert spec.description == "The number of books! on the shelf now."


def test_a_manifest_that_was_cut_off_is_an_error_and_facts_do_not_hide_it(prepared: Library) -> None:
    prepare_location(prepared.settings(), print)
    prepared.manifest.write_bytes(prepared.manifest.read_bytes()[:1000])
    with pytest.raises(ProjectError, match="truncated"):
        build_location(prepared.settings())


def test_a_project_that_was_moved_keeps_its_facts_and_its_code_references_are_of_the_new_place(
    prepared: Library,
) -> None:
    file, _ = facts_of(prepared)
    kept = file.read()
    assert kept is not None
    (reference,) = kept.nodes[MEMBERS].metadata["dagster/code_references"].code_references
    assert reference.file_path == str(prepared.project / "transformations" / "circulation" / "members.sql")


def test_dagster_dev_keeps_the_facts_that_it_had_to_make(prepared: Library) -> None:
    (prepared.artifacts / CACHE_FILE).unlink()
    build_location(prepared.settings(is_dev_cli=True))
    assert facts_of(prepared)[0].is_current


def test_a_preparation_makes_facts_that_are_missing_and_says_truly_that_dbt_had_nothing_to_do(
    prepared: Library,
) -> None:
    (prepared.artifacts / CACHE_FILE).unlink()
    assert not prepare_location(prepared.settings(), print)
    assert facts_of(prepared)[0].is_current


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


def test_a_load_imports_none_of_the_libraries_that_only_runs_need(preparation: Preparation) -> None:
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
    # The library's profile has expressions, which are Jinja's.
    assert imported & HEAVY == {"jinja2"}
