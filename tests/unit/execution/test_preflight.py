"""Batches of a build and missing upstream relations, with handmade graphs and a real DuckDB file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from analytics_dagster.execution.events import NodeResult
from analytics_dagster.execution.preflight import (
    blocked,
    build_batches,
    exists_in_file,
    missing_upstreams,
    missing_upstreams_message,
    read_from_other_builds,
    strictly_required,
)
from analytics_dagster.warehouse import Warehouse
from tests.unit.manifests import Manifest


def relation(name: str, schema: str = "main", database: str = "shop", kind: str = "model") -> Mapping[str, Any]:
    """Return a node of the manifest that builds this relation."""
    return {"database": database, "schema": schema, "name": name, "alias": None, "resource_type": kind}


# --- batches ------------------------------------------------------------------------------------------------


def ids(text: str) -> set[str]:
    """Return unique ids for names: `t…` are tests, `s…` seeds, `u…` unit tests, and others models."""
    kinds = {"t": "test", "s": "seed", "u": "unit_test"}
    return {f"{kinds.get(name[0], 'model')}.p.{name}" for name in text.split()}


def project_with_seed_as_source() -> Manifest:
    """Return a project in which `early` reads a seed as a source, `late` reads `early`, and `other` reads neither."""
    return (
        Manifest()
        .seed("seed", relation="raw")
        .source("raw", relation="raw")
        .model("between", "source.p.s.raw", materialized="ephemeral")
        .model("early", "model.p.between")
        .model("late", "model.p.early", "seed.p.seed")
        .model("other")
        .test("t_seed", "seed.p.seed")
        .test("t_source", "source.p.s.raw")
        .test("t_early", "model.p.early")
        .test("t_other", "model.p.other")
        .unit_test("u", "model.p.early")
    )


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (
            "seed early late other t_seed t_source t_early t_other u",
            ["seed other t_seed t_other", "early late t_source t_early u"],
        ),
        ("early late t_source u", ["early late t_source u"]),
        ("seed late", ["seed late"]),
        ("seed t_source", ["seed", "t_source"]),
        ("", []),
    ],
)
def test_a_reader_of_a_node_as_a_source_is_in_a_later_batch(build: str, expected: list[str]) -> None:
    found = build_batches(project_with_seed_as_source().graph, ids(build))
    assert list(found) == [ids(batch) for batch in expected]


def test_a_chain_of_such_sources_makes_a_batch_for_each() -> None:
    manifest = Manifest().seed("seed", relation="raw").source("raw", relation="raw")
    manifest.model("early", "source.p.s.raw", relation="early").source("mid", relation="early")
    manifest.model("late", "source.p.s.mid")
    assert list(build_batches(manifest.graph, ids("seed early late"))) == [ids("seed"), ids("early"), ids("late")]


def test_without_such_sources_there_is_one_batch() -> None:
    manifest = Manifest().model("early").source("raw").model("late", "model.p.early", "source.p.s.raw")
    assert list(build_batches(manifest.graph, ids("early late"))) == [ids("early late")]


def results(text: str) -> list[NodeResult]:
    """Return results for words such as `early:error`."""
    return [
        NodeResult(next(iter(ids(name))), name, status, None, None, "i")
        for name, status in (word.split(":") for word in text.split())
    ]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("seed:success t_seed:pass", ""),
        ("seed:success t_seed:warn", ""),
        ("seed:error", "early late t_source t_early u"),
        ("seed:skipped", "early late t_source t_early u"),
        # As in a single build: a failed test blocks the readers of its node, but not other tests of it.
        ("seed:success t_seed:fail", "early late t_early u"),
        ("other:error t_other:skipped seed:success", ""),
    ],
)
def test_a_failure_in_an_earlier_batch_blocks_its_readers(before: str, expected: str) -> None:
    batch = ids("early late t_source t_early u")
    assert blocked(project_with_seed_as_source().graph, batch, results(before)) == ids(expected)


# --- upstream nodes -----------------------------------------------------------------------------------------


def example() -> Manifest:
    return (
        Manifest()
        .seed("raw_orders")
        .source("raw", relation="raw_orders")
        .source("foreign")
        .function("doubled")
        .model("early", "source.p.s.raw", "source.p.s.foreign")
        .model("between", "model.p.early", materialized="ephemeral")
        .model("late", "model.p.between", "function.p.doubled")
        .test("crossing", "model.p.late", "model.p.early")
    )


@pytest.mark.parametrize(
    ("build", "read"),
    [
        ({"model.p.early"}, {"seed.p.raw_orders": ["model.p.early"]}),
        ({"seed.p.raw_orders", "model.p.early"}, {}),
        ({"model.p.late"}, {"model.p.early": ["model.p.late"], "function.p.doubled": ["model.p.late"]}),
        (
            {"model.p.late", "test.p.crossing", "function.p.doubled"},
            {"model.p.early": ["model.p.late", "test.p.crossing"]},
        ),
        ({"unit_test.p.late.adds_up"}, {}),
    ],
)
def test_upstream_nodes_are_found_through_ephemeral_models_and_sources(
    build: set[str], read: dict[str, list[str]]
) -> None:
    assert read_from_other_builds(example().graph, build) == read


@pytest.mark.parametrize(
    ("code", "needed"),
    [
        ("select * from {{ ref('early') }}", True),
        ("{% if load_relation(ref('early')) %} select 1 {% endif %}", False),
        ("{% set found = adapter.get_relation(this.database, this.schema, 'early') %}", False),
        ("-- depends_on: {{ ref('early') }}", False),
    ],
)
def test_a_model_that_checks_whether_an_upstream_exists_does_not_require_it(code: str, *, needed: bool) -> None:
    manifest = Manifest().model("early").model("late", "model.p.early")
    manifest.nodes["model.p.late"]["raw_code"] = code
    readers = read_from_other_builds(manifest.graph, {"model.p.late"})
    assert strictly_required(manifest.graph, readers) == (readers if needed else {})


def test_an_upstream_is_required_if_one_reader_requires_it() -> None:
    manifest = Manifest().model("early").model("x", "model.p.early").model("y", "model.p.early")
    manifest.nodes["model.p.x"]["raw_code"] = "{{ load_relation(ref('early')) }}"
    readers = read_from_other_builds(manifest.graph, {"model.p.x", "model.p.y"})
    assert strictly_required(manifest.graph, readers) == {"model.p.early": ["model.p.y"]}


# --- relations in the warehouse -----------------------------------------------------------------------------


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(adapter="duckdb", path=str(tmp_path / "shop.v1.duckdb"), lock_timeout=1.0)


def test_tables_views_and_functions_are_found_in_any_case_and_schema(warehouse: Warehouse) -> None:
    with duckdb.connect(warehouse.path) as connection:
        connection.execute('create table "Orders" as select 1 as one')
        connection.execute('create schema "Web Shop"; create view "Web Shop"."click stream" as select 1 as one')
        connection.execute("create macro doubled(price) as price * 2; create macro rows_of() as table select 1")
        connection.execute("create table early_v1 as select 1 as one")
    exists = exists_in_file(warehouse)
    for found in (
        relation("orders"),
        relation("ORDERS", "MAIN", "SHOP"),
        relation("Click Stream", "web shop"),
        {**relation("early"), "alias": "early_v1"},
        relation("doubled", kind="function"),
        relation("rows_of", kind="function"),
    ):
        assert exists(found) is True
    assert exists(relation("orders", "web shop")) is False
    assert exists(relation("order")) is False


def test_relations_of_other_databases_are_unknown(warehouse: Warehouse) -> None:
    duckdb.connect(warehouse.path).close()
    assert exists_in_file(warehouse)(relation("orders", database="lake")) is None
    assert exists_in_file(warehouse)(relation("orders")) is False


def test_a_missing_file_has_no_relations_and_is_not_created(warehouse: Warehouse) -> None:
    assert exists_in_file(warehouse)(relation("orders")) is False
    assert exists_in_file(warehouse)(relation("orders", database="lake")) is None
    assert not Path(warehouse.path).exists()


@pytest.mark.parametrize(
    ("materialized", "is_missing"),
    [("table", True), ("view", True), ("incremental", True), ("external", False), ("of_our_own", False)],
)
def test_only_nodes_of_dbts_own_materializations_can_be_missing(materialized: str, *, is_missing: bool) -> None:
    manifest = Manifest().model("early", materialized=materialized).model("late", "model.p.early")
    node = manifest.nodes["model.p.early"]
    looked_up: list[object] = []

    def exists(node: Mapping[str, Any]) -> bool:
        looked_up.append(node)
        return False

    readers = read_from_other_builds(manifest.graph, {"model.p.late"})
    assert missing_upstreams(manifest.graph, readers, exists) == (readers if is_missing else {})
    assert looked_up == ([node] if is_missing else [])


def test_the_message_lists_missing_assets_by_group_with_the_command_to_build_them() -> None:
    keys = {f"model.p.m{number}": dg.AssetKey(["raw", f"m{number}"]) for number in range(60)}
    message = partial(missing_upstreams_message, keys=keys, group_of=dict.fromkeys(keys, "hourly"), group="nightly")
    text = message({"model.p.m1": ["a", "b"]})
    assert "raw/m1 (group hourly), read by a and 1 more" in text
    assert "`analytics-dagster build --group nightly --upstream`" in text
    text = message({node: ["a"] for node in keys})
    assert "and 10 more" in text
