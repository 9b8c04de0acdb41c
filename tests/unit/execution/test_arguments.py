"""What dbt is called with, as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.execution.arguments import (
    Build,
    Wish,
    build_arguments,
    docs_arguments,
    make_build,
    selection_content,
    with_tested_models,
)
from analytics_dagster.planning.groups import FullRefresh, ScheduleGroup
from tests.unit.manifests import Manifest

# A selection file instead of names: a command line has a limit, and a name can select more than one node.
# `empty`: dbt's other ways to select tests lose those that cross groups, or run them in the wrong group.
ALWAYS = ["build", "--no-use-colors", "--select", "result:success", "--state", "here", "--indirect-selection", "empty"]


@pytest.mark.parametrize(
    ("build", "more"),
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
def test_a_build_selects_by_file_and_says_no_more_than_is_asked(build: Build, more: Sequence[str]) -> None:
    assert build_arguments(build, "here") == [*ALWAYS, *more]


def test_the_documentation_is_of_all_nodes_and_sources_with_the_vars_that_the_location_has() -> None:
    # Named: where nothing is, dbt takes the project's default selector.
    whole = ["docs", "generate", "--static", "--no-use-colors", "--select", "*", "source:*"]
    # These are on the page all the same, not compiled.
    whole += ["--exclude", "resource_type:test", "resource_type:unit_test"]
    assert docs_arguments({}) == whole
    assert docs_arguments({"b": 1, "a": "x"}) == [*whole, "--vars", '{"a": "x", "b": 1}']


def group(full_refresh: FullRefresh = FullRefresh.ON_REQUEST, **variables: Any) -> ScheduleGroup:
    return ScheduleGroup(name="nightly", select="*", full_refresh=full_refresh, vars=variables)


@pytest.mark.parametrize(
    ("policy", "asked", "done"),
    [
        (FullRefresh.ON_REQUEST, False, False),
        (FullRefresh.ON_REQUEST, True, True),
        (FullRefresh.ALWAYS, False, True),
        (FullRefresh.ALWAYS, True, True),
        (FullRefresh.NEVER, False, False),
    ],
)
def test_a_full_refresh_is_made_when_the_groups_policy_says_so(policy: FullRefresh, *, asked: bool, done: bool) -> None:
    assert make_build(["model.p.x"], group(policy), Wish(full_refresh=asked), {}).full_refresh is done


def test_a_full_refresh_that_is_asked_of_a_group_which_never_makes_one_is_refused_with_the_remedy() -> None:
    with pytest.raises(ScheduleGroupError, match=r"nightly is never rebuilt from scratch.*\n.*without a full refresh"):
        make_build(["model.p.x"], group(FullRefresh.NEVER), Wish(full_refresh=True), {})


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
def test_the_launchpads_vars_win_over_the_groups_and_these_over_the_locations(
    location: dict[str, Any], of_group: dict[str, Any], launchpad: dict[str, Any], variables: dict[str, Any]
) -> None:
    assert make_build([], group(**of_group), Wish(variables=launchpad), location).variables == variables


def test_the_selections_file_holds_each_id_once_as_a_success_in_order() -> None:
    content = selection_content({"model.p.b", "model.p.a", "test.p.c"})
    assert [result["unique_id"] for result in content["results"]] == ["model.p.a", "model.p.b", "test.p.c"]
    assert {result["status"] for result in content["results"]} == {"success"}


def test_the_selections_file_is_what_dbt_reads_as_results() -> None:
    # dbt's own class, for it has no public reader: if its form changes, this fails and not every build.
    from dbt.artifacts.schemas.run import RunResultsArtifact  # seconds, for this test alone

    content = json.loads(json.dumps(selection_content({"model.p.a"})))
    (result,) = RunResultsArtifact.from_dict(content).results
    assert result.unique_id == "model.p.a"


def test_an_ephemeral_model_is_selected_with_its_unit_test_which_dbt_runs_with_it_alone() -> None:
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
    }, "a table is built where it is asked for"
    assert with_tested_models({"model.p.x"}, graph) == {"model.p.x"}
