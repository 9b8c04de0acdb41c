"""Projects of almost nothing: seeds alone, tests alone, no node at all, and nodes that two groups select."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ProjectCopy
from tests.integration.any_project import RULES, Account, Expected, give_account, names, plan_of, short

pytestmark = [pytest.mark.integration]

EXPECTED = {
    # Seeds, no tag, no group file: the bundled groups, of which `hourly` finds nothing.
    "bare": {
        "hourly": Expected(),
        "nightly": Expected(names("seed.planets seed.moons"), names("test.every_moon_has_a_planet")),
    },
    "empty": {"everything": Expected()},
    # No node that is built: tests of sources, and one that reads nothing.
    "only_tests": {
        "watch": Expected(tests=names("test.as_many_valves_as_meters")),
        "rest": Expected(
            tests=names(
                "test.source_unique_plant_meters_meter_id test.source_not_null_plant_meters_meter_id "
                "test.every_valve_has_a_meter test.the_clock_is_right test.it_is_never_too_hot"
            )
        ),
    },
    # Nodes that are tagged for both groups, and meant to be refreshed by both.
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
"""The one that `make test` takes; the others are thorough."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=() if name == ONE_OF_THEM else pytest.mark.thorough) for name in EXPECTED],
)
def account(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Account:
    name = str(request.param)
    return give_account(ProjectCopy(Path(), name), EXPECTED[name], tmp_path_factory.mktemp(name))


@pytest.mark.parametrize("rule", RULES)
def test_what_holds_for_every_project_holds_here(rule: Callable[[Account], None], account: Account) -> None:
    rule(account)


# --- other group files on the same parsed project ------------------------------------------------------------


def plan_under(account: Account, changes: Mapping[str, str], folder: Path) -> Mapping[str, Any]:
    """Plan the overlapping project with another text in its groups' file."""
    assert account.copy.groups_file is not None
    text = account.copy.groups_file.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "groups.yaml").write_text(text)
    return plan_of(account.copy, ANALYTICS_SCHEDULE_GROUPS_FILE=str(folder / "groups.yaml"))


def nodes_of(account: Account, document: Mapping[str, Any], what: str = "nodes") -> Mapping[str, set[str]]:
    return {
        name: {short(unique_id, account.copy) for unique_id in group[what]}
        for name, group in document["groups"].items()
    }


OVERLAPPING = pytest.mark.parametrize("account", ["overlapping"], indirect=True)


@OVERLAPPING
def test_without_a_word_on_overlap_every_node_in_two_groups_is_named(account: Account, tmp_path: Path) -> None:
    (problem,) = plan_under(account, {"on_overlap: all\n": ""}, tmp_path)["problems"]
    assert problem["code"] == "node-in-several-groups"
    assert set(problem["nodes"]) == {"model.overlapping.latest", "model.overlapping.places"}
    assert "on_overlap" in problem["remedy"]


@OVERLAPPING
def test_with_overlap_first_the_first_group_has_the_node_alone(account: Account, tmp_path: Path) -> None:
    document = plan_under(account, {"on_overlap: all": "on_overlap: first"}, tmp_path)
    assert document["problems"] == []
    assert nodes_of(account, document) == {
        "hourly": {"seed.readings", "model.latest", "model.places", "model.alarms"},
        "nightly": {"model.averages"},
    }
    assert nodes_of(account, document, "refreshes") == {"hourly": set(), "nightly": set()}


@OVERLAPPING
def test_without_a_default_group_what_nobody_selects_is_named(account: Account, tmp_path: Path) -> None:
    changes = {"    default: true\n": "", "select: +tag:hourly": "select: tag:nightly"}
    (problem,) = plan_under(account, changes, tmp_path)["problems"]
    assert problem["code"] == "node-in-no-group"
    assert set(problem["nodes"]) == {"seed.overlapping.readings", "model.overlapping.alarms"}


@OVERLAPPING
def test_groups_that_read_each_other_are_named_with_the_path(account: Account, tmp_path: Path) -> None:
    # The seed falls to `nightly`, which reads `hourly`, which reads the seed.
    changes = {"+tag:hourly": "tag:hourly", "on_overlap: all": "on_overlap: first"}
    (problem,) = plan_under(account, changes, tmp_path)["problems"]
    assert problem["code"] == "cycle-between-groups"
    told = " ".join(problem["details"])
    assert "model.overlapping.latest (hourly) reads seed.overlapping.readings (nightly)" in told
    assert "reads model.overlapping.latest (hourly)" in told
