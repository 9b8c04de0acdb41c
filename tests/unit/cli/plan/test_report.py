"""The plan of the lending library: as a report, as a JSON document, and the explanation of each node."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console, RenderableType

from analytics_dagster.cli.plan.document import node_document, plan_document
from analytics_dagster.cli.plan.explanation import explain
from analytics_dagster.cli.plan.planned_project import PlannedProject, plan_project
from analytics_dagster.cli.plan.report import _moments, group_report, node_report, plan_report
from analytics_dagster.planning.build import make_plan
from analytics_dagster.planning.groups import OnOverlap, ScheduleGroups

if TYPE_CHECKING:
    from tests.conftest import Preparation

NOW = datetime(2026, 3, 4, 11, 30, tzinfo=timezone.utc)  # a Wednesday
P = "lending_library"


@pytest.fixture(scope="module")
def library(preparation: Preparation) -> PlannedProject:
    said: list[str] = []
    planned = plan_project(preparation.library.settings(), said.append)
    assert not said, "a prepared project is not prepared again"
    return planned


def regrouped(
    planned: PlannedProject, on_overlap: str, groups: dict[str, dict[str, Any]], **selected: set[str]
) -> PlannedProject:
    """Return the library with other groups and the nodes that each selects."""
    file = ScheduleGroups.model_validate(
        {"on_overlap": on_overlap, "groups": [{"name": name, "select": name, **more} for name, more in groups.items()]}
    )
    named = {selection: frozenset(selected.get(selection.select or "", ())) for selection in file.selections}
    project = replace(planned.project, selected=named)
    return replace(planned, project=project, groups=file, plan=make_plan(file, project.manifest, named))


def printed(report: RenderableType) -> str:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(report)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


# --- the report ---------------------------------------------------------------------------------------------


def test_the_plan_lists_groups_in_order_with_ticks_nodes_and_tests(library: PlannedProject) -> None:
    text = printed(plan_report(library, NOW))
    assert f"{P}: 6 nodes and 8 tests in 2 schedule groups" in text
    rows = [line.split("  ") for line in text.splitlines() if line.startswith((" opening_time", " closing_time"))]
    assert [" ".join(part.strip() for part in row if part.strip()) for row in rows] == [
        "opening_time 0 8 * * * and 0 13 * * * (UTC) 2 seeds, 1 model, 1 snapshot 5",
        "closing_time 30 18 * * 1-6 (Europe/Berlin) 2 models 3",
    ]
    assert "next Wed 04 Mar 13:00, Thu 05 Mar 08:00, 13:00" in text
    assert "next Wed 04 Mar 18:30, Thu 05 Mar 18:30, Fri 06 Mar 18:30" in text
    assert "opening_time → closing_time  late_returns reads loans" in text
    assert "ephemeral models (1): part of the SQL of the nodes that read them" in text
    assert "Every node is in one group, and every test runs once." in text


def test_columns_without_a_value_are_omitted(library: PlannedProject) -> None:
    assert "refreshes" not in printed(plan_report(library, NOW))
    assert "unit tests" not in printed(plan_report(library, NOW))


def test_problems_are_printed_with_all_their_nodes_and_the_remedy(library: PlannedProject) -> None:
    planned = regrouped(library, "error", {"one": {}, "two": {}}, one={f"seed.{P}.books"}, two={f"seed.{P}.books"})
    text = printed(plan_report(planned, NOW))
    assert "Problem node-in-several-groups" in text
    assert f"seed.{P}.books (one, two)" in text
    assert "Problem node-in-no-group" in text
    assert f"    model.{P}.shelf" in text
    assert "-> Tag them so that a group selects them, or give one group `default: true`." in text
    assert "Every node is in one group" not in text


def test_an_edge_to_a_previous_run_is_marked(library: PlannedProject) -> None:
    groups: dict[str, dict[str, Any]] = {"one": {"default": True}, "two": {"reads_previous": ["one"]}}
    planned = regrouped(library, "error", groups, two={f"model.{P}.members"})
    assert "one ⇢ two  from its last run: members reads loans" in printed(plan_report(planned, NOW))


def test_a_group_report_lists_its_rules_nodes_and_tests(library: PlannedProject) -> None:
    text = printed(group_report(library, "closing_time", NOW))
    for line in (
        "closing_time, group 2 of 2",
        "selects        select: path:transformations/circulation",
        "waits for      opening_time; if one of them fails, waits for its retries, and is skipped if these fail too",
        "waited for by  no group",
        "full refresh   on request",
        "retries        none",
        "Nodes, in build order (2)",
        "Tests (3)",
    ):
        assert line in text
    assert "late_returns  model, view" in text
    assert "not_null_members_member" in text
    assert "check of members" in text
    assert "books" not in text


def test_the_default_group_and_its_default_nodes_are_marked(library: PlannedProject) -> None:
    text = printed(group_report(library, "opening_time", NOW))
    assert "select: shelf; and every node that no group selects (default group)" in text
    assert "books         seed; by default" in text
    assert "waited for by  closing_time" in text
    assert "  shelf         model, incremental\n" in text


def test_only_the_names_of_a_groups_vars_are_printed(library: PlannedProject) -> None:
    groups = {"one": {"default": True, "vars": {"token": "hush"}, "retries": 2, "full_refresh": "never"}}
    text = printed(group_report(regrouped(library, "error", groups), "one", NOW))
    assert "vars           token" in text
    assert "hush" not in text
    assert "retries        2, only of what failed" in text
    assert "full refresh   never: a request is refused" in text


def test_the_day_is_printed_only_where_it_changes() -> None:
    moments = [datetime(2026, 3, day, hour, tzinfo=timezone.utc) for day, hour in ((4, 8), (4, 13), (5, 8))]
    assert _moments(moments) == "Wed 04 Mar 08:00, 13:00, Thu 05 Mar 08:00"


def test_brackets_in_names_are_not_markup(library: PlannedProject) -> None:
    planned = regrouped(library, "error", {"one": {"default": True, "select": "[bold]/[/]"}})
    assert "select: [bold]/[/]" in printed(group_report(planned, "one", NOW))


# --- explanations ----------------------------------------------------------------------------------------------------


def test_a_node_is_explained_by_its_selection_reads_and_tests(library: PlannedProject) -> None:
    shelf = explain(library, f"model.{P}.shelf")
    assert (shelf.group, shelf.why) == ("opening_time", "opening_time selects it by `select: shelf`")
    assert shelf.selected_by == ("opening_time",)
    assert shelf.reads == {"opening_time": (f"seed.{P}.books", f"seed.{P}.loans")}
    assert shelf.read_by == {}
    assert {group: len(tests) for group, tests in (shelf.tests or {}).items()} == {"opening_time": 3}
    assert (shelf.kind, shelf.path, shelf.asset) == ("model, incremental", "transformations/shelf.sql", "shelf")
    text = printed(node_report(library, shelf))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "group opening_time: opening_time selects it by `select: shelf`" in lines
    assert "reads opening_time books, loans" in lines


def test_a_node_names_the_groups_that_run_before_it(library: PlannedProject) -> None:
    late = explain(library, f"model.{P}.late_returns")
    assert late.waits_for == ("opening_time",)
    assert late.reads == {"opening_time": (f"seed.{P}.loans",)}, "an ephemeral model is looked through"
    assert re.search("^waits for +opening_time$", printed(node_report(library, late)), flags=re.MULTILINE)


def test_a_node_that_no_group_selects_names_the_default_group(library: PlannedProject) -> None:
    why = explain(library, f"seed.{P}.books").why
    assert why == "no group selects it, and opening_time is the default group"
    lost = explain(regrouped(library, "error", {"one": {}}), f"seed.{P}.books")
    assert (lost.group, lost.why) == (None, "no group selects it, and there is no default group")
    assert explain(library, f"seed.{P}.loans").read_by == {
        "opening_time": (f"model.{P}.shelf",),
        "closing_time": (f"model.{P}.late_returns", f"model.{P}.members"),
    }


@pytest.mark.parametrize(
    ("on_overlap", "told", "refreshed"),
    [
        (OnOverlap.ERROR, "which is an error without `on_overlap`; it is shown in the first, two", ()),
        (OnOverlap.FIRST, "and with `on_overlap: first` only the first, two, builds it", ()),
        (
            OnOverlap.ALL,
            "and with `on_overlap: all` it belongs to the first, two, and the others refresh it",
            ("three",),
        ),
    ],
)
def test_a_node_in_several_selections_names_the_rule_that_decides(
    library: PlannedProject, on_overlap: OnOverlap, told: str, refreshed: tuple[str, ...]
) -> None:
    books = f"seed.{P}.books"
    groups: dict[str, dict[str, Any]] = {"one": {"default": True}, "two": {}, "three": {}}
    planned = regrouped(library, on_overlap.value, groups, two={books}, three={books})
    found = explain(planned, books)
    assert found.group == "two"
    assert found.why == f"two (`select: two`) and three (`select: three`) select it, {told}"
    assert found.also_in == refreshed
    text = printed(node_report(planned, found))
    assert ("also refreshed by" in text) == bool(refreshed)
    assert ("Problem node-in-several-groups" in text) == (on_overlap is OnOverlap.ERROR)


def test_a_test_is_explained_by_what_it_reads_and_checks(library: PlannedProject) -> None:
    unique = next(test for test in library.plan.tests if "unique_members" in test)
    found = explain(library, unique)
    assert (found.group, found.why) == ("closing_time", "closing_time builds everything that it reads")
    assert found.check_of == f"model.{P}.members"
    groups: dict[str, dict[str, Any]] = {"one": {"default": True}, "two": {}}
    across = regrouped(library, "error", groups, two={f"model.{P}.shelf"})
    singular = f"test.{P}.no_book_is_lent_more_often_than_it_has_copies"
    found = explain(across, singular)
    assert found.why == "it reads nodes of one and two, and two runs last of them"
    assert found.reads == {"one": (f"seed.{P}.books",), "two": (f"model.{P}.shelf",)}


def test_sources_and_ephemeral_models_list_readers_and_tests(library: PlannedProject) -> None:
    source = explain(library, f"source.{P}.seeded.loans")
    assert source.group is None
    assert source.why == f"it is the table of seed.{P}.loans, declared as a source"
    assert {group: len(tests) for group, tests in (source.tests or {}).items()} == {"opening_time": 1}
    ephemeral = explain(library, f"model.{P}.returned_loans")
    assert ephemeral.group is None
    assert ephemeral.why == "ephemeral models: part of the SQL of the nodes that read them"
    assert ephemeral.read_by == {"closing_time": (f"model.{P}.late_returns",)}
    assert {group: len(tests) for group, tests in (ephemeral.tests or {}).items()} == {"opening_time": 1}
    exposure = explain(library, f"exposure.{P}.front_desk_screen")
    assert "outside dbt" in exposure.why


# --- the document -------------------------------------------------------------------------------------------


def test_the_document_has_every_node_and_test_by_unique_id(library: PlannedProject) -> None:
    document = json.loads(json.dumps(plan_document(library, NOW)))
    assert document["order"] == list(document["groups"]) == ["opening_time", "closing_time"]
    manifest = library.project.manifest["nodes"]
    nodes = [node for group in document["groups"].values() for node in group["nodes"]]
    assert sorted(nodes) == sorted(
        unique_id
        for unique_id, node in manifest.items()
        if node["resource_type"] != "test" and node["config"]["materialized"] != "ephemeral"
    )
    tests = [test for group in document["groups"].values() for test in group["tests"]]
    assert sorted(tests) == sorted(unique_id for unique_id, node in manifest.items() if node["resource_type"] == "test")
    closing = document["groups"]["closing_time"]
    assert closing["cron"] == ["30 18 * * 1-6"]
    assert closing["time_zone"] == "Europe/Berlin"
    assert closing["next_ticks"][0] == "2026-03-04T18:30:00+01:00"
    assert len(closing["next_ticks"]) == 5
    assert closing["waits_for"] == ["opening_time"]
    assert (closing["refreshes"], closing["refreshed_tests"], closing["unit_tests"]) == ([], [], [])
    assert document["edges"] == [
        {
            "upstream": "opening_time",
            "downstream": "closing_time",
            "parent": f"seed.{P}.loans",
            "child": f"model.{P}.late_returns",
            "previous": False,
        }
    ]
    assert document["problems"] == []
    ephemeral = next(entry for entry in document["left_out"] if entry["what"] == "ephemeral models")
    assert (ephemeral["count"], ephemeral["nodes"]) == (1, [f"model.{P}.returned_loans"])
    assert document["target"] == {"profile": "library", "name": "laptop", "adapter": "duckdb"}
    assert document["stand_in"] is None


def test_a_problem_in_the_document_has_code_message_ids_and_remedy(library: PlannedProject) -> None:
    books, shelf = f"seed.{P}.books", f"model.{P}.shelf"
    overlap = regrouped(library, "error", {"one": {"default": True}, "two": {}, "none": {}}, one={books}, two={books})
    document = plan_document(overlap, NOW)
    [problem] = document["problems"]
    assert problem["code"] == "node-in-several-groups"
    assert problem["nodes"] == [books]
    assert problem["details"] == [f"{books} (one, two)"]
    assert problem["message"] == "Nodes are selected by more than one schedule group:"
    assert "on_overlap" in problem["remedy"]
    assert "selection-matches-nothing" in [warning["code"] for warning in document["warnings"]]
    members = f"model.{P}.members"
    cycle = regrouped(library, "error", {"one": {}, "two": {"default": True}}, one={shelf, f"seed.{P}.loans"})
    [problem] = plan_document(cycle, NOW)["problems"]
    assert problem["code"] == "cycle-between-groups"
    assert {books, shelf} <= set(problem["nodes"])
    assert members in problem["nodes"] or f"model.{P}.late_returns" in problem["nodes"]
    assert all(" " not in node for node in problem["nodes"])


def test_the_document_of_one_group_has_only_that_group_and_its_edges(library: PlannedProject) -> None:
    groups: dict[str, dict[str, Any]] = {"one": {"default": True}, "two": {}, "three": {}}
    planned = regrouped(library, "error", groups, two={f"model.{P}.shelf"}, three={f"model.{P}.members"})
    document = plan_document(planned, NOW, "three")
    assert list(document["groups"]) == ["three"]
    assert [(edge["upstream"], edge["downstream"]) for edge in document["edges"]] == [("one", "three")]
    assert len(document["order"]) == 3


def test_refreshed_nodes_are_in_the_document_and_the_report(library: PlannedProject) -> None:
    shelf = f"model.{P}.shelf"
    groups: dict[str, dict[str, Any]] = {"one": {}, "two": {"default": True}}
    planned = regrouped(library, "all", groups, one={shelf, f"seed.{P}.books", f"seed.{P}.loans"}, two={shelf})
    two = plan_document(planned, NOW)["groups"]["two"]
    assert two["refreshes"] == [shelf]
    assert len(two["refreshed_tests"]) == 3
    assert shelf not in two["nodes"]
    text = printed(group_report(planned, "two", NOW))
    assert "Refreshed nodes of other groups (1)" in text
    assert "shelf  model, incremental; of one" in text
    assert "Tests of the refreshed nodes (3)" in text
    assert "refreshes" in printed(plan_report(planned, NOW))


def test_the_document_of_a_node_has_the_problems_that_name_it(library: PlannedProject) -> None:
    books = f"seed.{P}.books"
    overlap = regrouped(library, "error", {"one": {"default": True}, "two": {}}, one={books}, two={books})
    document = json.loads(json.dumps(node_document(overlap, books)))
    assert document["unique_id"] == books
    assert [problem["code"] for problem in document["problems"]] == ["node-in-several-groups"]
    assert node_document(overlap, f"seed.{P}.loans")["problems"] == []
