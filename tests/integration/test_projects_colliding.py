"""A project with two nodes for the same asset key: the error, and the build after its remedy was applied."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ProjectCopy, copy_project
from tests.integration.any_project import RULES, Comparison, Expected, build_both, names

pytestmark = [pytest.mark.integration, pytest.mark.thorough]

COPY = ProjectCopy(Path(), "colliding")
EXPECTED = {
    "all_of_it": Expected(
        names(
            "seed.orders model.calendar model.neighbour:calendar model.prices.v1 model.neighbour:prices_v1 "
            "model.people model.raw_orders model.weekly"
        ),
        names(
            "test.source_not_null_crm_people_id test.source_not_null_raw_orders_id "
            "test.unique_calendar_day_number test.neighbour:unique_calendar_day_number"
        ),
    )
}
# Not the seed and the source `raw.orders`: they are the same table and may be the same asset.
COLLIDING = {
    "calendar": {"model.colliding.calendar", "model.neighbour.calendar"},
    "prices_v1": {"model.colliding.prices.v1", "model.neighbour.prices_v1"},
    "crm/people": {"model.colliding.people", "source.colliding.crm.people"},
    "exposures/weekly": {"model.colliding.weekly", "exposure.colliding.weekly"},
}
REMEDY = """
models:
  neighbour:
    calendar: {+meta: {dagster: {asset_key: [neighbour, calendar]}}}
    prices_v1: {+meta: {dagster: {asset_key: [neighbour, prices_v1]}}}
  colliding:
    people: {+meta: {dagster: {asset_key: [people]}}}
    weekly: {+meta: {dagster: {asset_key: [weekly]}}}
"""


@dataclass(frozen=True)
class Refusal:
    """The output of `plan --json` and `build` for the unchanged project."""

    plan: dict[str, Any]
    planned: subprocess.CompletedProcess[str]
    built: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def refusal(tmp_path_factory: pytest.TempPathFactory) -> Refusal:
    copy = copy_project(ProjectCopy(tmp_path_factory.mktemp("refused"), COPY.name))
    planned = copy.run("plan", "--json")
    return Refusal(json.loads(planned.stdout), planned, copy.run("build"))


def test_two_nodes_with_one_asset_key_are_a_problem(refusal: Refusal) -> None:
    assert refusal.planned.returncode == 1, refusal.planned.stderr
    (problem,) = refusal.plan["problems"]
    assert problem["code"] == "asset-key-collision"
    assert Counter(problem["nodes"]) == Counter(one for unique_ids in COLLIDING.values() for one in unique_ids)
    assert set(problem["details"]) == {
        f"{unique_id} (asset {key})" for key, unique_ids in COLLIDING.items() for unique_id in unique_ids
    }
    assert "asset_key" in problem["remedy"]


def test_nothing_is_built_with_a_colliding_asset_key(refusal: Refusal) -> None:
    assert refusal.built.returncode == 2
    assert "would be the same asset" in refusal.built.stderr
    assert "Traceback" not in refusal.built.stderr


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return build_both(COPY, EXPECTED, tmp_path_factory.mktemp("resolved"), {"dbt_project.yml": REMEDY})


@pytest.mark.parametrize("rule", RULES)
def test_everything_is_built_with_the_remedy(rule: Callable[[Comparison], None], comparison: Comparison) -> None:
    rule(comparison)
