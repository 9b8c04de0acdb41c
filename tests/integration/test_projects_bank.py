"""A project of versions, groups, contracts, a semantic layer, Python models and capitals in its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ProjectCopy
from tests.integration.any_project import RULES, Account, Expected, give_account, names

pytestmark = pytest.mark.integration

COPY = ProjectCopy(Path(), "versioned_bank", variables={"ANALYTICS_UNIT_TESTS": "true"})
EXPECTED = {
    "intraday": Expected(
        names("seed.accounts seed.transfers model.stg_accounts model.stg_transfers"),
        names("test.unique_stg_accounts_account_id test.accepted_values_stg_transfers_amount__False__100__50___5"),
    ),
    "end_of_day": Expected(
        names("model.customers.v2 model.risk_scores"),
        names(
            "test.unique_customers_v2_customer_id test.dbt_expects_rows_customers_v2_ "
            "test.not_null_risk_scores_customer_id"
        ),
        unit_tests=names("unit_test.customers.an_account_grows_older_v2"),
    ),
    "archive": Expected(
        names("model.customers.v1 model.customers.v3 model.fct_transfers model.time_spine_daily"),
        names(
            "test.unique_customers_v1_customer_id test.dbt_expects_rows_customers_v1_ "
            "test.unique_customers_v3_customer_id test.dbt_expects_rows_customers_v3_ "
            "test.every_transfer_has_a_customer test.balances_add_up_over_all_versions"
        ),
        unit_tests=names("unit_test.fct_transfers.a_transfer_is_kept"),
    ),
}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    return give_account(COPY, EXPECTED, tmp_path_factory.mktemp("bank"))


@pytest.mark.parametrize("rule", RULES)
def test_what_holds_for_every_project_holds_here(rule: Callable[[Account], None], account: Account) -> None:
    rule(account)
