"""Small projects: only seeds, only tests, no nodes, and nodes that two groups select."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ProjectCopy
from tests.integration.any_project import RULES, Comparison, Expected, build_both, names, plan_of, short

pytestmark = [pytest.mark.integration]

EXPECTED = {
    # Seeds without tags and without a groups file: the bundled group `hourly` selects nothing.
    "bare": {
        "hourly": Expected(),
        "nightly": Expected(names("seed.planets seed.moons"), names("test.every_moon_has_a_planet")),
    },
    "empty": {"everything": Expected()},
    # No built nodes: tests of sources, and one that reads nothing.
    "only_tests": {
        "watch": Expected(tests=names("test.as_many_valves_as_meters")),
        "rest": Expected(
            tests=names(
                "test.source_unique_plant_meters_meter_id test.source_not_null_plant_meters_meter_id "
                "test.every_valve_has_a_meter test.the_clock_is_right test.it_is_never_too_hot"
            )
        ),
    },
    # Nodes with the tags of both groups, which both refresh.
    "overlapping": {
        "hourly": Expected(
            names("seed.readings model.latest model.places model.alarms"),
            names(
                "test.unique_latest_reading_id test.unique_places_place test.not_null_places_place "
                "test.every_alarm_has_a_place"
            ),
        ),
        "nightly": Expected(
            names("model.averages"),
            names("test.every_average_has_a_place"),
            refreshed=names("model.latest model.places"),
            refreshed_tests=names(
                "test.unique_latest_reading_id test.unique_places_place test.not_null_places_place "
                "test.every_alarm_has_a_place"
            ),
        ),
    },
}


ONE_OF_THEM = "overlapping"
"""The project that `make test` builds; the others are thorough."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=() if name == ONE_OF_THEM else pytest.mark.thorough) for name in EXPECTED],
)
def comparison(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    name = str(request.param)
    return build_both(ProjectCopy(Path(), name), EXPECTED[name], tmp_path_factory.mktemp(name))


@pytest.mark.parametrize("rule", RULES)
def test_the_rules_for_every_project_hold(rule: Callable[[Comparison], None], comparison: Comparison) -> None:
    rule(comparison)


# --- other groups' files for the same parsed project ------------------------------------------------------------


def plan_under(comparison: Comparison, changes: Mapping[str, str], folder: Path) -> Mapping[str, Any]:
    """Return the plan of the overlapping project with changes in its groups' file."""
    assert comparison.copy.groups_file is not None
    text = comparison.copy.groups_file.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "groups.yaml").write_text(text)
    return plan_of(comparison.copy, ANALYTICS_SCHEDULE_GROUPS_FILE=str(folder / "groups.yaml"))


def nodes_of(comparison: Comparison, document: Mapping[str, Any], what: str = "nodes") -> Mapping[str, set[str]]:
    return {
        name: {short(unique_id, comparison.copy) for unique_id in group[what]}
        for name, group in document["groups"].items()
    }


OVERLAPPING = pytest.mark.parametrize("comparison", ["overlapping"], indirect=True)


@OVERLAPPING
def test_without_on_overlap_every_node_in_two_groups_is_reported(comparison: Comparison, tmp_path: Path) -> None:
    (problem,) = plan_under(comparison, {"on_overlap: all\n": ""}, tmp_path)["problems"]
    assert problem["code"] == "node-in-several-groups"
    assert set(problem["nodes"]) == {"model.overlapping.latest", "model.overlapping.places"}
    assert "on_overlap" in problem["remedy"]


@OVERLAPPING
def test_on_overlap_first_gives_the_node_to_the_first_group(comparison: Comparison, tmp_path: Path) -> None:
    document = plan_under(comparison, {"on_overlap: all": "on_overlap: first"}, tmp_path)
    assert document["problems"] == []
    assert nodes_of(comparison, document) == {
        "hourly": {"seed.readings", "model.latest", "model.places", "model.alarms"},
        "nightly": {"model.averages"},
    }
    assert nodes_of(comparison, document, "refreshes") == {"hourly": set(), "nightly": set()}


@OVERLAPPING
def test_without_a_default_group_unselected_nodes_are_reported(comparison: Comparison, tmp_path: Path) -> None:
    changes = {"    default: true\n": "", "select: +tag:hourly": "select: tag:nightly"}
    (problem,) = plan_under(comparison, changes, tmp_path)["problems"]
    assert problem["code"] == "node-in-no-group"
    assert set(problem["nodes"]) == {"seed.overlapping.readings", "model.overlapping.alarms"}


@OVERLAPPING
def test_groups_that_read_each_other_are_reported_with_the_path(comparison: Comparison, tmp_path: Path) -> None:
    # The seed belongs to `nightly`, which reads `hourly`, which reads the seed.
    changes = {"+tag:hourly": "tag:hourly", "on_overlap: all": "on_overlap: first"}
    (problem,) = plan_under(comparison, changes, tmp_path)["problems"]
    assert problem["code"] == "cycle-between-groups"
    told = " ".join(problem["details"])
    assert "model.overlapping.latest (hourly) reads seed.overlapping.readings (nightly)" in told
    assert "reads model.overlapping.latest (hourly)" in told
