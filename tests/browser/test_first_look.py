"""The first minutes with `make dev`, in a real browser: the graph, a first run watched to green, an asset's page."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.development import Dagster, Development, make_development

pytestmark = pytest.mark.integration

GROUPS = ("ingestion", "hourly", "nightly", "consumers", "exposures")
PRODUCTS = "marts/products"
ALL_THAT_PRODUCTS_NEED = {
    "jaffle_shop/products",
    "jaffle_shop/supplies",
    "staging/stg_products",
    "staging/stg_supplies",
    "intermediate/int_product_supply_costs",
    PRODUCTS,
}


@pytest.fixture(scope="module")
def development(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    with make_development(tmp_path_factory.mktemp("shop"), days=3, sells_on=False) as development:
        yield development


@pytest.fixture
def dagster(development: Development, page: Page) -> Dagster:
    return development.seen_by(page)


def test_the_graph_shows_the_schedule_groups_between_ingestion_and_what_reads_the_marts(dagster: Dagster) -> None:
    dagster.open_graph()
    for group in GROUPS:
        expect(dagster.page.get_by_text(group, exact=True).first).to_be_visible()


@pytest.fixture(scope="module")
def run(development: Development, browser: BrowserContext) -> str:
    """Materialize an asset and what it reads by one click, and watch the run to green; return its id."""
    page = browser.new_page()
    dagster = development.seen_by(page)
    dagster.open_graph(f'+key:"{PRODUCTS}"')
    run = dagster.materialize()
    dagster.watch()
    page.close()
    return run


def test_an_asset_and_what_it_reads_are_materialized_by_one_click(development: Development, run: str) -> None:
    assert development.ui.built(run) == ALL_THAT_PRODUCTS_NEED


@pytest.mark.usefixtures("run")
def test_the_page_of_an_asset_tells_what_it_is_whose_it_is_and_how_it_was_built(dagster: Dagster) -> None:
    page = dagster.page
    dagster.open_asset(PRODUCTS)
    expect(page.get_by_text("Row count", exact=True)).to_be_visible()
    expect(page.get_by_text("The menu of today")).to_be_visible()
    expect(page.get_by_text("data-platform@jaffleshop.example.com").first).to_be_visible()
    # The first row of this name: the compiled SQL names the columns, too.
    expect(page.get_by_role("row", name="unit_margin_rate").first).to_contain_text("The margin as a share of the list")
    file = str(dagster.development.project / "models" / "marts" / "core" / "products.sql")
    expect(page.get_by_role("link", name="Open products.sql")).to_have_attribute("href", re.compile(re.escape(file)))
    expect(page.get_by_role("row", name="compiled_sql")).to_contain_text('"staging"."stg_products"')
    dagster.button(re.compile("^Plots$")).click()
    expect(page.get_by_text("dagster/row_count")).to_be_visible()
    expect(page.locator("canvas")).to_have_count(2)


@pytest.mark.usefixtures("run")
def test_dbts_tests_are_checks_of_their_asset_and_have_passed(dagster: Dagster) -> None:
    dagster.open_asset(PRODUCTS, "checks")
    expect(dagster.page.get_by_text("unique_products_sku").first).to_be_visible()
    expect(dagster.page.get_by_text("Succeeded", exact=True)).to_have_count(3)
