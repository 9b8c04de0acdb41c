"""dbt's command lines as tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.execution.arguments import (
    Build,
    RunOptions,
    build_arguments,
    docs_arguments,
    make_build,
    selection_content,
    with_tested_models,
)
from analytics_dagster.planning.groups import FullRefresh, ScheduleGroup
from tests.unit.manifests import Manifest

# A selection file instead of names: a command line is limited, and a name can select several nodes.
# `empty`: dbt's other modes lose tests that cross groups, or run them in the wrong group.
ALWAYS = ["build", "--no-use-colors", "--select", "result:success", "--state", "here", "--indirect-selection", "empty"]


@pytest.mark.parametrize(
    ("build", "options"),
    [
        (Build(frozenset({"model.p.x"})), []),
        (Build(frozenset()), []),
        (Build(frozenset({"model.p.x"}), full_refresh=True), ["--full-refresh"]),
        (Build(frozenset({"model.p.x"}), variables={"b": 1, "a": "x y"}), ["--vars", '{"a": "x y", "b": 1}']),
        (
            Build(frozenset({"model.p.x"}), full_refresh=True, variables={"deep": {"list": [1, None]}}),
            ["--full-refresh", "--vars", '{"deep": {"list": [1, null]}}'],
        ),
    ],
)
def test_a_build_selects_by_file_and_has_only_the_options_it_needs(build: Build, options: Sequence[str]) -> None:
    assert build_arguments(build, "here") == [*ALWAYS, *options]


def test_the_documentation_covers_all_nodes_and_sources_with_the_locations_vars() -> None:
    # Without a selection dbt takes the project's default selector.
    whole = ["docs", "generate", "--static", "--no-use-colors", "--select", "*", "source:*"]
    # Tests are on the page anyway, not compiled.
    whole += ["--exclude", "resource_type:test", "resource_type:unit_test"]
    assert docs_arguments({}) == whole
    assert docs_arguments({"b": 1, "a": "x"}) == [*whole, "--vars", '{"a": "x", "b": 1}']


def group(full_refresh: FullRefresh = FullRefresh.ON_REQUEST, **variables: Any) -> ScheduleGroup:
    return ScheduleGroup(name="nightly", select="*", full_refresh=full_refresh, vars=variables)


@pytest.mark.parametrize(
    ("policy", "requested", "expected"),
    [
        (FullRefresh.ON_REQUEST, False, False),
        (FullRefresh.ON_REQUEST, True, True),
        (FullRefresh.ALWAYS, False, True),
        (FullRefresh.ALWAYS, True, True),
        (FullRefresh.NEVER, False, False),
    ],
)
def test_the_policy_of_the_group_decides_on_a_full_refresh(
    policy: FullRefresh, *, requested: bool, expected: bool
) -> None:
    assert make_build(["model.p.x"], group(policy), RunOptions(full_refresh=requested), {}).full_refresh is expected


def test_a_full_refresh_that_the_group_forbids_is_an_error_with_the_remedy() -> None:
    with pytest.raises(ScheduleGroupError, match=r"nightly forbids a full refresh.*\n.*without a full refresh"):
        make_build(["model.p.x"], group(FullRefresh.NEVER), RunOptions(full_refresh=True), {})


@pytest.mark.parametrize(
    ("location", "of_group", "launchpad", "variables"),
    [
        ({}, {}, {}, {}),
        ({"a": 1}, {}, {}, {"a": 1}),
        ({"a": 1, "b": 1}, {"b": 2}, {}, {"a": 1, "b": 2}),
        (
            {"a": 1, "b": 1, "c": 1},
            {"b": 2, "c": 2},
            {"c": 3, "d": {"deep": None}},
            {"a": 1, "b": 2, "c": 3, "d": {"deep": None}},
        ),
    ],
)
def test_vars_of_the_run_override_the_groups_and_those_the_locations(
    location: dict[str, Any], of_group: dict[str, Any], launchpad: dict[str, Any], variables: dict[str, Any]
) -> None:
    assert make_build([], group(**of_group), RunOptions(variables=launchpad), location).variables == variables


def test_the_selection_file_has_a_sorted_success_for_each_id() -> None:
    content = selection_content({"model.p.b", "model.p.a", "test.p.c"})
    assert [result["unique_id"] for result in content["results"]] == ["model.p.a", "model.p.b", "test.p.c"]
    assert {result["status"] for result in content["results"]} == {"success"}


def test_dbt_reads_the_selection_file_as_run_results() -> None:
    # dbt has no public reader. If the format changes, this test fails before every build does.
    from dbt.artifacts.schemas.run import RunResultsArtifact  # seconds, for this test alone

    content = json.loads(json.dumps(selection_content({"model.p.a"})))
    (result,) = RunResultsArtifact.from_dict(content).results
    assert result.unique_id == "model.p.a"


def test_an_ephemeral_model_is_selected_with_its_unit_test() -> None:
    graph = (
        Manifest()
        .model("x", materialized="table")
        .model("e", materialized="ephemeral")
        .unit_test("of_x", "model.p.x")
        .unit_test("of_e", "model.p.e")
    ).graph
    assert with_tested_models({"unit_test.p.of_x", "unit_test.p.of_e"}, graph) == {
        "unit_test.p.of_x",
        "unit_test.p.of_e",
        "model.p.e",
    }, "a table is built only if it is selected"
    assert with_tested_models({"model.p.x"}, graph) == {"model.p.x"}
