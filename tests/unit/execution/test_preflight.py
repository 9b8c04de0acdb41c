"""What a build reads of others, and whether it is in the warehouse: a real DuckDB file, and graphs by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from analytics_dagster.execution.preflight import Relation, describe, in_file, missing, read_from_others, surely_needed
from analytics_dagster.warehouse import Warehouse
from tests.unit.manifests import Manifest


def relation(name: str, schema: str = "main", database: str = "shop", *, is_function: bool = False) -> Relation:
    return Relation(database, schema, name, is_function)


# --- what is read -------------------------------------------------------------------------------------------


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
def test_what_a_build_reads_and_does_not_build_is_found_through_ephemeral_models_and_sources(
    build: set[str], read: dict[str, list[str]]
) -> None:
    assert read_from_others(example().graph, build) == read


@pytest.mark.parametrize(
    ("code", "needed"),
    [
        ("select * from {{ ref('early') }}", True),
        ("{% if load_relation(ref('early')) %} select 1 {% endif %}", False),
        ("{% set found = adapter.get_relation(this.database, this.schema, 'early') %}", False),
        ("-- depends_on: {{ ref('early') }}", False),
    ],
)
def test_a_model_that_looks_whether_what_it_reads_is_there_does_not_need_it(code: str, *, needed: bool) -> None:
    manifest = Manifest().model("early").model("late", "model.p.early")
    manifest.nodes["model.p.late"]["raw_code"] = code
    readers = read_from_others(manifest.graph, {"model.p.late"})
    assert surely_needed(manifest.graph, readers) == (readers if needed else {})


def test_what_one_can_do_without_and_another_can_not_is_needed() -> None:
    manifest = Manifest().model("early").model("x", "model.p.early").model("y", "model.p.early")
    manifest.nodes["model.p.x"]["raw_code"] = "{{ load_relation(ref('early')) }}"
    readers = read_from_others(manifest.graph, {"model.p.x", "model.p.y"})
    assert surely_needed(manifest.graph, readers) == {"model.p.early": ["model.p.y"]}


# --- what is there ------------------------------------------------------------------------------------------


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(adapter="duckdb", path=str(tmp_path / "shop.v1.duckdb"), lock_timeout=1.0)


def test_tables_views_and_functions_are_found_by_any_case_and_in_any_schema(warehouse: Warehouse) -> None:
    with duckdb.connect(warehouse.path) as connection:
        connection.execute('create table "Orders" as select 1 as one')
        connection.execute('create schema "Web Shop"; create view "Web Shop"."click stream" as select 1 as one')
        connection.execute("create macro doubled(price) as price * 2; create macro rows_of() as table select 1")
    exists = in_file(warehouse)
    for found in (
        relation("orders"),
        relation("ORDERS", "MAIN", "SHOP"),
        relation("Click Stream", "web shop"),
        relation("doubled", is_function=True),
        relation("rows_of", is_function=True),
    ):
        assert exists(found) is True
    assert exists(relation("orders", "web shop")) is False
    assert exists(relation("order")) is False


def test_of_other_databases_nothing_is_known(warehouse: Warehouse) -> None:
    duckdb.connect(warehouse.path).close()
    assert in_file(warehouse)(relation("orders", database="lake")) is None
    assert in_file(warehouse)(relation("orders")) is False


def test_in_a_file_that_is_not_there_nothing_is_and_it_is_not_made(warehouse: Warehouse) -> None:
    assert in_file(warehouse)(relation("orders")) is False
    assert in_file(warehouse)(relation("orders", database="lake")) is None
    assert not Path(warehouse.path).exists()


@pytest.mark.parametrize(
    ("materialized", "is_missing"),
    [("table", True), ("view", True), ("incremental", True), ("external", False), ("of_our_own", False)],
)
def test_only_what_surely_leaves_a_relation_can_be_missing(materialized: str, *, is_missing: bool) -> None:
    manifest = Manifest().model("early", materialized=materialized).model("late", "model.p.early")
    node: dict[str, Any] = manifest.nodes["model.p.early"]
    node |= {"database": "shop", "schema": "main", "name": "early", "alias": "early_v1"}
    asked: list[Relation] = []

    def exists(relation: Relation) -> bool:
        asked.append(relation)
        return False

    readers = read_from_others(manifest.graph, {"model.p.late"})
    assert missing(manifest.graph, readers, exists) == (readers if is_missing else {})
    assert asked == ([relation("early_v1")] if is_missing else [])


def test_what_is_missing_is_said_by_asset_and_group_with_the_command_that_builds_it() -> None:
    keys = {f"model.p.m{number}": dg.AssetKey(["raw", f"m{number}"]) for number in range(60)}
    text = describe({"model.p.m1": ["a", "b"]}, keys=keys, group_of=dict.fromkeys(keys, "hourly"), group="nightly")
    assert "raw/m1 (group hourly), read by a and 1 more" in text
    assert "`analytics-dagster build --group nightly --upstream`" in text
    text = describe({node: ["a"] for node in keys}, keys=keys, group_of=dict.fromkeys(keys, "hourly"), group="nightly")
    assert "and 10 more" in text
