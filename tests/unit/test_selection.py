"""A selection that names nothing to run says what it names instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from analytics_dagster.errors import ProjectError
from analytics_dagster.headless.planning import Planned, plan_project
from analytics_dagster.headless.selection import require_runnable

if TYPE_CHECKING:
    from tests.conftest import Preparation

P = "lending_library"


@pytest.fixture(scope="module")
def library(preparation: Preparation) -> Planned:
    return plan_project(preparation.library.settings(), lambda _: None)


@pytest.mark.parametrize(
    ("found", "listed"),
    [
        ({f"model.{P}.returned_loans"}, "1 ephemeral model."),
        ({f"source.{P}.seeded.loans", f"exposure.{P}.front_desk_screen"}, "1 exposure, 1 source."),
        ({"saved_query.p.a", "saved_query.p.b"}, "2 saved queries."),
    ],
)
def test_what_no_group_runs_by_itself_is_counted_by_its_kind(library: Planned, found: set[str], listed: str) -> None:
    with pytest.raises(ProjectError, match="names nothing that a schedule group runs by itself") as caught:
        require_runnable("it", frozenset(found), library.plan, library.graph)
    assert caught.value.problem.endswith(listed)


@pytest.mark.parametrize("runs", [f"seed.{P}.books", f"test.{P}.no_book_is_lent_more_often_than_it_has_copies"])
def test_one_node_or_test_to_run_is_enough(library: Planned, runs: str) -> None:
    require_runnable("it", frozenset({runs, f"source.{P}.seeded.loans"}), library.plan, library.graph)
