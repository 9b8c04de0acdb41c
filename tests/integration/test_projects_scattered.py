"""A project in several folders: unusual names, functions, YAML selectors, 300 tags, chains of ephemeral models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ProjectCopy
from tests.integration.any_project import RULES, Comparison, Expected, build_both, names

pytestmark = [pytest.mark.integration, pytest.mark.thorough]

COPY = ProjectCopy(
    Path(),
    "scattered",
    inside="analytics",
    target_path="../artifacts",
    variables={"SCATTERED_FILE": "../scattered.duckdb"},
)
EXPECTED = {
    "Frequent": Expected(
        names("model.much_tagged model.clicks function.normalized"),
        names(
            "test.click_id.is_unique test.page.name.is_known test.accepted_values_clicks_page__home_page "
            "test.not_null_much_tagged_only_column test.a_normalized_text_stays_as_it_is"
        ),
    ),
    "leftovers": Expected(
        names("seed.rates seed.rates.of.2026 function.in_euro model.seldom model.größe model.context model.price_list"),
        names(
            "test.unique_first_link_currency test.not_null_third_link_currency test.seldom_is_much_tagged "
            "test.not_null_größe_l_nge test.unique_context_l_nge"
        ),
    ),
    "Sparse": Expected(
        names("model.price.list model.price.list.v2"),
        names("test.unique_price.list_currency test.relationships_price.list.v2_currency__currency__ref_price_list_"),
    ),
}


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return build_both(COPY, EXPECTED, tmp_path_factory.mktemp("scattered"))


@pytest.mark.parametrize("rule", RULES)
def test_the_rules_for_every_project_hold(rule: Callable[[Comparison], None], comparison: Comparison) -> None:
    rule(comparison)


def test_nothing_is_written_into_the_dbt_project(comparison: Comparison) -> None:
    assert not (comparison.copy.project / "target").exists()
    assert comparison.copy.artifacts == comparison.copy.root / "artifacts"
    assert comparison.copy.manifest.exists()


def test_a_changed_file_outside_the_project_makes_the_manifest_stale(comparison: Comparison) -> None:
    model = comparison.copy.root / "shared_models" / "context.sql"
    before = model.read_text()
    model.write_text(before + "-- changed")
    ready = comparison.copy.run("prepare")
    model.write_text(before)
    assert "shared_models/context.sql changed" in ready.stdout
