"""A selection that no group runs is an error that names what it selects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from analytics_dagster.cli.plan.planned_project import PlannedProject, plan_project
from analytics_dagster.cli.runs.selection import require_in_groups, require_runnable
from analytics_dagster.errors import ProjectError

if TYPE_CHECKING:
    from tests.conftest import Preparation

P = "lending_library"


@pytest.fixture(scope="module")
def library(preparation: Preparation) -> PlannedProject:
    return plan_project(preparation.library.settings(), lambda _: None)


@pytest.mark.parametrize(
    ("found", "listed"),
    [
        ({f"model.{P}.returned_loans"}, "1 ephemeral model."),
        ({f"source.{P}.seeded.loans", f"exposure.{P}.front_desk_screen"}, "1 exposure, 1 source."),
        ({"saved_query.p.a", "saved_query.p.b"}, "2 saved queries."),
    ],
)
def test_a_selection_that_no_group_runs_is_counted_by_type(
    library: PlannedProject, found: set[str], listed: str
) -> None:
    with pytest.raises(ProjectError, match="names nothing that a schedule group runs") as caught:
        require_runnable("it", frozenset(found), library.plan, library.graph)
    assert caught.value.problem.endswith(listed)


@pytest.mark.parametrize("runs", [f"seed.{P}.books", f"test.{P}.no_book_is_lent_more_often_than_it_has_copies"])
def test_one_runnable_node_or_test_is_enough(library: PlannedProject, runs: str) -> None:
    require_runnable("it", frozenset({runs, f"source.{P}.seeded.loans"}), library.plan, library.graph)


@pytest.mark.parametrize("names", [["opening_time"], []])
def test_a_selection_outside_the_named_groups_names_its_groups(library: PlannedProject, names: list[str]) -> None:
    found = frozenset({f"model.{P}.members", f"source.{P}.seeded.loans"})
    with pytest.raises(ProjectError, match="'it' names nothing in ") as caught:
        require_in_groups("it", found, library.plan, names)
    assert caught.value.remedy == "It belongs to closing_time: name that group, or no group."


def test_a_selection_in_one_of_the_named_groups_is_enough(library: PlannedProject) -> None:
    require_in_groups("it", frozenset({f"model.{P}.members"}), library.plan, ["opening_time", "closing_time"])
