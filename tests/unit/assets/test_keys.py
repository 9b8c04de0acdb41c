"""Asset keys of dbt resources, their collisions, and names that Dagster accepts."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.utils import DISALLOWED_NAMES

from analytics_dagster.assets.keys import (
    RESERVED,
    asset_key,
    asset_keys,
    check_asset_keys,
    dagster_meta,
    dagster_names,
    dagster_owners,
    same_assets,
    with_valid_meta,
)
from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.planning.groups import ScheduleGroup
from analytics_dagster.planning.plan import GroupPlan, Plan, PlannedTest
from analytics_dagster.project.graph import Graph


def node(
    kind: str, name: str, package: str = "shop", *, schema: str | None = None, relation: str = "", **others: Any
) -> dict[str, Any]:
    return {
        "unique_id": f"{kind}.{package}.{name}",
        "resource_type": kind,
        "name": name,
        "package_name": package,
        "relation_name": relation or None,
        "config": {"schema": schema, "materialized": "table", **others.pop("config", {})},
        "depends_on": {"nodes": []},
        **others,
    }


def source(source_name: str, name: str, relation: str = "", **others: Any) -> dict[str, Any]:
    return {
        "unique_id": f"source.shop.{source_name}.{name}",
        "resource_type": "source",
        "source_name": source_name,
        "name": name,
        "relation_name": relation or None,
        "config": {},
        **others,
    }


def configured(*key: str) -> dict[str, Any]:
    return {"meta": {"dagster": {"asset_key": list(key)}}}


def manifest(*resources: dict[str, Any]) -> dict[str, Any]:
    kinds = {"source": "sources", "exposure": "exposures", "function": "functions"}
    content: dict[str, Any] = {"nodes": {}, "sources": {}, "exposures": {}, "functions": {}}
    for resource in resources:
        content[kinds.get(resource["resource_type"], "nodes")][resource["unique_id"]] = resource
    return {**content, "metadata": {"project_name": "shop"}}


def plan_of(*tests: PlannedTest, docs: bool = False) -> Plan:
    group = GroupPlan(ScheduleGroup(name="all", select="*", docs=docs), nodes=(), tests=tests, unit_tests=())
    return Plan(groups=(group,), edges=(), problems=())


@pytest.mark.parametrize(
    ("resource", "key"),
    [
        (node("model", "orders"), "orders"),
        (node("model", "orders", schema="marts"), "marts/orders"),
        (node("model", "orders", version=2, alias="orders_v2"), "orders_v2"),
        (node("seed", "price.list"), "price.list"),
        (node("function", "doubled"), "doubled"),
        (node("function", "doubled", config=configured("udf", "twice")), "udf/twice"),
        (node("model", "orders", config=configured("sales", "orders")), "sales/orders"),
        (node("model", "orders", meta=configured("sales", "orders")["meta"]), "sales/orders"),
        (source("raw", "click stream"), "raw/click stream"),
        (source("raw", "orders", config=configured("lake", "orders")), "lake/orders"),
        (node("exposure", "board"), "exposures/board"),
        (node("exposure", "board", config=configured("bi", "board")), "bi/board"),
    ],
)
def test_a_key_is_dagster_dbts_unless_the_resource_sets_another(resource: dict[str, Any], key: str) -> None:
    assert asset_key(resource).to_user_string() == key


def test_a_project_without_collisions_has_the_same_plan() -> None:
    plan = plan_of()
    content = manifest(node("model", "orders"), node("model", "Orders"), source("raw", "orders"))
    assert check_asset_keys(plan, content) is plan


COLLIDING = {
    "two packages": [node("model", "orders"), node("model", "orders", "other")],
    "a node and a source": [node("model", "orders", schema="raw"), source("raw", "orders")],
    "a node and a function": [node("model", "doubled"), node("function", "doubled")],
    "a node and an exposure": [node("model", "board", schema="exposures"), node("exposure", "board")],
    "a version's alias and another model": [
        node("model", "orders", version=1, alias="orders_v1"),
        node("model", "orders_v1", "other"),
    ],
    "two configured alike": [node("model", "a", config=configured("x")), node("seed", "b", config=configured("x"))],
}


@pytest.mark.parametrize("what", COLLIDING)
def test_two_resources_of_one_key_are_a_problem_with_names_and_remedy(what: str) -> None:
    one, other = COLLIDING[what]
    (problem,) = check_asset_keys(plan_of(), manifest(one, other)).problems
    assert problem.code == "asset-key-collision"
    assert {line.split(" ")[0] for line in problem.nodes} == {one["unique_id"], other["unique_id"]}
    assert "meta: {dagster: {asset_key: " in problem.remedy
    with pytest.raises(ScheduleGroupError, match=one["unique_id"]):
        check_asset_keys(plan_of(), manifest(one, other)).require()


@pytest.mark.parametrize("what", COLLIDING)
def test_the_remedy_resolves_it(what: str) -> None:
    one, other = COLLIDING[what]
    other = {**other, "config": {**other["config"], **configured("any", "other", "name")}}
    assert check_asset_keys(plan_of(), manifest(one, other)).problems == ()


def test_a_disabled_exposure_is_no_asset_and_does_not_collide() -> None:
    content = manifest(node("model", "board", schema="exposures"), node("exposure", "board", config={"enabled": False}))
    assert check_asset_keys(plan_of(), content).problems == ()


def test_a_collision_is_added_after_the_plans_other_problems() -> None:
    content = manifest(*COLLIDING["two packages"])
    found = check_asset_keys(check_asset_keys(plan_of(), content), content)
    assert [problem.code for problem in found.problems] == ["asset-key-collision"] * 2


def test_a_source_that_a_node_builds_is_the_nodes_asset_if_keys_are_equal() -> None:
    content = manifest(
        node("seed", "orders", schema="raw", relation='"w"."raw"."orders"'),
        source("raw", "orders", relation='"w"."RAW"."orders"'),
        source("old", "orders", relation='"w"."raw"."orders"'),
    )
    graph = Graph(content)
    assert check_asset_keys(plan_of(), content).problems == ()
    assert same_assets(asset_keys(content, graph), graph) == {"source.shop.raw.orders"}


def test_a_source_of_a_nodes_key_that_is_another_relation_collides() -> None:
    content = manifest(
        node("seed", "orders", schema="raw", relation='"w"."raw"."orders"'),
        source("raw", "orders", relation='"w"."elsewhere"."orders"'),
    )
    assert len(check_asset_keys(plan_of(), content).problems) == 1


def test_a_model_of_the_projects_name_collides_only_if_a_test_checks_the_project() -> None:
    content = manifest(node("model", "shop"))
    assert check_asset_keys(plan_of(), content).problems == ()
    (problem,) = check_asset_keys(plan_of(PlannedTest("test.shop.clock", None, frozenset())), content).problems
    assert problem.nodes == ("model.shop.shop (asset shop)", "the project itself (asset shop)")


def test_a_model_collides_with_dbts_documentation_only_if_a_group_has_docs() -> None:
    content = manifest(node("model", "shop", schema="dbt_docs"))
    assert check_asset_keys(plan_of(), content).problems == ()
    (problem,) = check_asset_keys(plan_of(docs=True), content).problems
    assert problem.nodes == ("model.shop.shop (asset dbt_docs/shop)", "dbt's documentation (asset dbt_docs/shop)")


# --- names --------------------------------------------------------------------------------------------------


def test_reserved_names_are_those_of_dagster() -> None:
    # Dagster's own list, which has no public name: if it grows, this fails and not the load of a location.
    assert RESERVED == DISALLOWED_NAMES


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (["orders", "raw__orders"], ["orders", "raw__orders"]),
        (["price.list", "price_list", "price-list"], ["price_list", "price_list_2", "price_list_3"]),
        (["a", "a_2", "a"], ["a", "a_2", "a_3"]),
        (["click stream", "größe", "a$b"], ["click_stream", "gr__e", "a_b"]),
        (["type", "input", "import", "type_"], ["type_", "input_", "import_", "type__2"]),
    ],
)
def test_names_are_unique_and_accepted_by_dagster(wanted: list[str], names: list[str]) -> None:
    given = dagster_names(enumerate(wanted))
    assert list(given) == names
    assert list(given.values()) == list(range(len(wanted)))
    for name in given:
        dg.OpDefinition(compute_fn=lambda *_: None, name="any", ins={name: dg.In(dg.Nothing)}, outs={name: dg.Out()})


WRONG_META = {
    "a list": ["a"],
    "a text": "finance",
    "a number": 5,
    "a number as key": {"asset_key": 5},
    "a number within the key": {"asset_key": ["finance", 5]},
    "an empty name in the key": {"asset_key": ["finance", ""]},
    "a mapping as key": {"asset_key": {"a": "b"}},
    "a number as owner": {"owners": 5},
    "a mapping as owner": {"owners": {"email": "ann@firm.example"}},
    "a number as group": {"group": 7},
    "a text as policy": {"auto_materialize_policy": "eager"},
    "a number as freshness": {"freshness_policy": 60},
}


@pytest.mark.parametrize("place", ["config", "top"])
@pytest.mark.parametrize("kind", ["model", "source", "exposure"])
@pytest.mark.parametrize("what", WRONG_META)
def test_a_wrong_value_in_meta_is_a_problem_that_names_the_resource(what: str, kind: str, place: str) -> None:
    meta = {"meta": {"dagster": WRONG_META[what]}}
    others = {"config": meta} if place == "config" else meta
    resource = source("raw", "orders") if kind == "source" else node(kind, "orders")
    resource.update(others, original_file_path="models/orders.yml")
    (problem,) = check_asset_keys(plan_of(), manifest(resource)).problems
    assert problem.code == "invalid-meta"
    [line] = problem.nodes
    assert line.startswith(f"{resource['unique_id']} (models/orders.yml): `")
    assert asset_keys(manifest(resource), Graph(manifest(resource))).keys() == {resource["unique_id"]}


@pytest.mark.parametrize(
    "dagster",
    [
        None,
        *({}, [], ""),
        *({"asset_key": None}, {"asset_key": []}, {"asset_key": ""}, {"owners": None}, {"owners": []}),
        *({"auto_materialize_policy": None}, {"freshness_policy": {}}, {"group": ""}, {"anything": 5}),
    ],
)
def test_an_empty_value_in_meta_says_nothing(dagster: Any) -> None:
    resource = node("model", "orders", config={"meta": {"owner": "finance", "dagster": dagster}})
    assert check_asset_keys(plan_of(), manifest(resource)).problems == ()
    assert asset_key(resource) == dg.AssetKey("orders")
    assert with_valid_meta(resource)["config"]["meta"]["owner"] == "finance"
    # dagster-dbt itself reads both places.
    assert isinstance(with_valid_meta({**resource, "meta": {"dagster": dagster}})["meta"]["dagster"], dict)


def test_valid_meta_is_not_changed() -> None:
    resource = node("model", "orders", config={"meta": {"dagster": {"asset_key": ["a", "b"], "owners": "x", "z": 5}}})
    assert with_valid_meta(resource) is resource
    assert dagster_meta(resource)["z"] == 5
    assert dagster_meta(node("model", "orders")) == {}


@pytest.mark.parametrize("named", [None, 5, {}, {"email": "x"}, [5, ""], ""])
def test_what_is_no_name_is_no_owner(named: Any) -> None:
    assert dagster_owners(named) == []
