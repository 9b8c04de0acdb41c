"""What dbt is called with, as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from analytics_dagster.transform.arguments import Build, build_arguments, selection_content

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


def test_the_selections_file_holds_each_id_once_as_a_success_in_order() -> None:
    content = selection_content({"model.p.b", "model.p.a", "test.p.c"})
    assert [result["unique_id"] for result in content["results"]] == ["model.p.a", "model.p.b", "test.p.c"]
    assert {result["status"] for result in content["results"]} == {"success"}


def test_the_selections_file_is_what_dbt_reads_as_results() -> None:
    # dbt's own class, for it has no public reader: if its form changes, this fails and not every build.
    from dbt.artifacts.schemas.run import RunResultsArtifact  # noqa: PLC0415 - seconds, for this test alone

    content = json.loads(json.dumps(selection_content({"model.p.a"})))
    (result,) = RunResultsArtifact.from_dict(content).results
    assert result.unique_id == "model.p.a"
