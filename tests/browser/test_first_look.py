"""The first minutes with `make dev`, in a real browser: the graph, a first run, the page of an asset."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.development import Dagster, Development, make_development

pytestmark = pytest.mark.integration

GROUPS = ("ingestion", "hourly", "nightly", "consumers", "exposures")
PRODUCTS = "marts/products"
PRODUCTS_AND_UPSTREAM = {
    "jaffle_shop/products",
    "jaffle_shop/supplies",
    "staging/stg_products",
    "staging/stg_supplies",
    "intermediate/int_product_supply_costs",
    PRODUCTS,
}


@pytest.fixture(scope="module")
def development(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    with make_development(tmp_path_factory.mktemp("shop"), days=3, continuous=False) as development:
        yield development


@pytest.fixture
def dagster(development: Development, page: Page) -> Dagster:
    return development.on_page(page)


def test_the_graph_shows_ingestion_schedule_groups_consumers_and_exposures(dagster: Dagster) -> None:
    dagster.open_graph()
    for group in GROUPS:
        expect(dagster.page.get_by_text(group, exact=True).first).to_be_visible()


@pytest.fixture(scope="module")
def run(development: Development, browser: BrowserContext) -> str:
    """Materialize an asset and everything upstream with one click; wait for success; return the run id."""
    page = browser.new_page()
    dagster = development.on_page(page)
    dagster.open_graph(f'+key:"{PRODUCTS}"')
    run = dagster.materialize()
    dagster.watch()
    page.close()
    return run


def test_one_click_materializes_an_asset_and_everything_upstream(development: Development, run: str) -> None:
    assert development.ui.built(run) == PRODUCTS_AND_UPSTREAM


@pytest.mark.usefixtures("run")
def test_the_page_of_an_asset_shows_description_owner_and_last_build(dagster: Dagster) -> None:
    page = dagster.page
    dagster.open_asset(PRODUCTS)
    expect(page.get_by_text("Row count", exact=True)).to_be_visible()
    expect(page.get_by_text("The menu of today")).to_be_visible()
    expect(page.get_by_text("data-platform@jaffleshop.example.com").first).to_be_visible()
    # Use the first row with this name: the compiled SQL also has the column names.
    expect(page.get_by_role("row", name="unit_margin_rate").first).to_contain_text("The margin as a share of the list")
    file = str(dagster.development.project / "models" / "marts" / "core" / "products.sql")
    expect(page.get_by_role("link", name="Open products.sql")).to_have_attribute("href", re.compile(re.escape(file)))
    expect(page.get_by_role("row", name="compiled_sql")).to_contain_text('"staging"."stg_products"')
    dagster.button(re.compile("^Plots$")).click()
    expect(page.get_by_text("dagster/row_count")).to_be_visible()
    expect(page.locator("canvas")).to_have_count(2)


@pytest.mark.usefixtures("run")
def test_dbt_tests_are_passed_checks_of_their_asset(dagster: Dagster) -> None:
    dagster.open_asset(PRODUCTS, "checks")
    expect(dagster.page.get_by_text("unique_products_sku").first).to_be_visible()
    expect(dagster.page.get_by_text("Succeeded", exact=True)).to_have_count(3)
