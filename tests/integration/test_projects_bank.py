"""A project with model versions, groups, contracts, a semantic layer, Python models and capitals in its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import dagster as dg
import pytest

from analytics_dagster.location import build_location
from tests.conftest import ProjectCopy
from tests.integration.any_project import RULES, Comparison, Expected, build_both, names

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
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return build_both(COPY, EXPECTED, tmp_path_factory.mktemp("bank"))


@pytest.mark.parametrize("rule", RULES)
def test_the_rules_for_every_project_hold(rule: Callable[[Comparison], None], comparison: Comparison) -> None:
    rule(comparison)


@pytest.fixture(scope="module")
def specs(comparison: Comparison) -> Mapping[str, dg.AssetSpec]:
    definitions = build_location(comparison.copy.settings(unit_tests=True)).definitions
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


def reads(spec: dg.AssetSpec) -> set[str]:
    return {dep.asset_key.to_user_string() for dep in spec.deps}


def test_an_exposure_of_metrics_reads_their_tables(specs: Mapping[str, dg.AssetSpec]) -> None:
    assert reads(specs["exposures/treasury_dashboard"]) == {"fct_transfers", "customers_legacy"}
    assert reads(specs["exposures/regulators_report"]) == {"fct_transfers"}


def test_every_version_of_a_model_is_an_asset_in_its_own_group(
    specs: Mapping[str, dg.AssetSpec],
) -> None:
    # The asset of the first version has the name of its alias.
    versions = [specs[key] for key in ("customers_legacy", "customers_v2", "customers_v3")]
    assert [spec.group_name for spec in versions] == ["archive", "end_of_day", "archive"]
    assert [reads(spec) for spec in versions] == [{"customers_v2"}, {"stg_accounts"}, {"customers_v2"}]


def test_the_owner_of_a_dbt_group_owns_its_assets(specs: Mapping[str, dg.AssetSpec]) -> None:
    assert {key: list(specs[key].owners) for key in ("stg_transfers", "customers_v2", "risk_scores")} == {
        "stg_transfers": ["ledger@bank.example"],
        "customers_v2": ["team:people_accounts"],
        "risk_scores": [],
    }


def test_a_python_model_has_the_kind_python(specs: Mapping[str, dg.AssetSpec]) -> None:
    assert "python" in specs["risk_scores"].kinds
