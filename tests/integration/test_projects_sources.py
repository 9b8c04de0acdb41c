"""A project of two sources with tables of one name, a seed behind one of them, and a package with names of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from tests.conftest import ProjectCopy
from tests.integration.any_project import RULES, Account, Expected, give_account, names

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
    # Before `nightly` because the file has it before: only `hourly` stands above it.
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
def account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    return give_account(COPY, EXPECTED, tmp_path_factory.mktemp("sources"))


@pytest.mark.parametrize("rule", RULES)
def test_what_holds_for_every_project_holds_here(rule: Callable[[Account], None], account: Account) -> None:
    rule(account)


def test_sources_with_tables_of_one_name_are_two_assets(account: Account) -> None:
    checked = account.run_of("hourly").checked_assets
    assert checked["test.source_unique_shop_us_orders_id"] == dg.AssetKey(["shop_us", "orders"])
    assert checked["test.unique_eu_orders_id"] == dg.AssetKey(["raw_eu", "eu_orders"])
