"""Projects of almost nothing: seeds alone, tests alone, no node at all, and nodes that two groups select."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ProjectCopy
from tests.integration.any_project import RULES, Account, Expected, give_account, names

pytestmark = pytest.mark.integration

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


@pytest.fixture(scope="module", params=EXPECTED)
def account(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Account:
    name = str(request.param)
    return give_account(ProjectCopy(Path(), name), EXPECTED[name], tmp_path_factory.mktemp(name))


@pytest.mark.parametrize("rule", RULES)
def test_what_holds_for_every_project_holds_here(rule: Callable[[Account], None], account: Account) -> None:
    rule(account)
