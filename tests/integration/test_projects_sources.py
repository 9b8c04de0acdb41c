"""A project with two sources that have a table of the same name, a seed as one of them, and a package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from tests.conftest import ProjectCopy
from tests.integration.any_project import RULES, Comparison, Expected, build_both, names

pytestmark = [pytest.mark.integration, pytest.mark.thorough]

COPY = ProjectCopy(Path(), "two_sources")
EXPECTED = {
    "hourly": Expected(
        names("seed.eu_orders model.stg_eu_orders model.stg_us_orders"),
        names(
            "test.unique_eu_orders_id test.unique_stg_eu_orders_id test.every_eu_order_has_its_us_twin "
            "test.unique_stg_us_orders_id test.both_shops_have_orders "
            "test.source_unique_shop_us_orders_id test.source_not_null_shop_us_orders_id"
        ),
    ),
    # Before `nightly` as in the file: only `hourly` is upstream of it.
    "weekly": Expected(names("snapshot.snapshot_of_eu_orders"), names("test.not_null_snapshot_of_eu_orders_id")),
    "nightly": Expected(
        names("model.orders model.calendar model.shared_checks:calendar snapshot.snapshot_of_orders"),
        names(
            "test.accepted_values_orders_shop__eu__us "
            "test.unique_calendar_day_number test.shared_checks:unique_calendar_day_number "
            "test.totals_are_positive test.shared_checks:totals_are_positive"
        ),
    ),
}


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return build_both(COPY, EXPECTED, tmp_path_factory.mktemp("sources"))


@pytest.mark.parametrize("rule", RULES)
def test_the_rules_for_every_project_hold(rule: Callable[[Comparison], None], comparison: Comparison) -> None:
    rule(comparison)


def test_source_tables_of_the_same_name_are_two_assets(comparison: Comparison) -> None:
    checked = comparison.run_of("hourly").checked_assets
    assert checked["test.source_unique_shop_us_orders_id"] == dg.AssetKey(["shop_us", "orders"])
    assert checked["test.unique_eu_orders_id"] == dg.AssetKey(["raw_eu", "eu_orders"])
