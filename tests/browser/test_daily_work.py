"""Daily work in the UI, in a real browser: all assets, one group, full refresh, re-execution, automation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.development import LOCATION, Dagster, Development, make_development
from tests.browser.pictures import take, wanted
from tests.integration.ui import UiRun
from tests.processes import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.thorough, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def development(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    """Open a UI whose nightly schedule ticks every minute when it is on."""
    # Screenshots show one year of data.
    days = 330 if wanted() else 40
    folder = tmp_path_factory.mktemp("shop")
    with make_development(folder, days=days, variables={"ANALYTICS_CRON__NIGHTLY": "* * * * *"}) as development:
        yield development


@pytest.fixture
def dagster(development: Development, page: Page) -> Dagster:
    return development.on_page(page)


@pytest.fixture(scope="module")
def graph(development: Development) -> dict[str, set[str]]:
    """Return the keys of the executable assets by group."""
    nodes = development.ui.ask("{ assetNodes { groupName isExecutable assetKey { path } } }")["assetNodes"]
    groups: dict[str, set[str]] = {}
    for node in nodes:
        if node["isExecutable"]:
            groups.setdefault(node["groupName"], set()).add("/".join(node["assetKey"]["path"]))
    return groups


@pytest.fixture(scope="module")
def run_of_all(development: Development, browser: BrowserContext) -> str:
    """Click "Materialize all" in the graph and wait for the success of the run; return its id."""
    with browser.new_page() as page:
        dagster = development.on_page(page)
        dagster.open_graph()
        run = dagster.materialize()
        dagster.watch()
    return run


def test_one_click_materializes_all_assets(
    development: Development, run_of_all: str, graph: dict[str, set[str]]
) -> None:
    assert development.ui.built(run_of_all) == set().union(*graph.values())


def test_the_results_of_a_run_are_on_the_pages_of_run_asset_and_graph(
    dagster: Dagster, run_of_all: str, graph: dict[str, set[str]]
) -> None:
    page = dagster.page
    dagster.open(f"/runs/{run_of_all}")
    dagster.watch()
    expect(page.get_by_text("Succeeded (13)")).to_be_visible()
    # Show the events of dbt nodes in the screenshot: the last lines of the log contain folder names.
    page.get_by_placeholder("Filter…").fill("Materialized value marts")
    expect(page.get_by_text("Materialized value marts").first).to_be_visible()
    take(page, "run")
    dagster.open_asset("marts/orders", "checks")
    expect(page.get_by_text("Succeeded", exact=True)).to_have_count(6)
    expect(page.get_by_text("Passed", exact=True)).to_be_visible()
    take(page, "checks")
    dagster.open_asset("marts/orders")
    expect(page.get_by_text("Row count", exact=True)).to_be_visible()
    expect(page.get_by_text("Last 7 days")).to_be_visible()
    expect(page.get_by_role("row", name="order_id").first).to_contain_text("The order")
    take(page, "asset")
    # The height of the graph of groups, which is scaled to fit.
    page.set_viewport_size({"width": 1300, "height": 560})
    dagster.open_graph()
    dagster.hide_list()
    for group in graph:
        expect(page.get_by_text(group, exact=True).first).to_be_visible()
    # Edges are drawn last, and no event signals it.
    page.wait_for_timeout(2000)
    take(page, "graph")


@pytest.mark.usefixtures("run_of_all")
def test_the_page_of_a_group_materializes_the_group(dagster: Dagster, graph: dict[str, set[str]]) -> None:
    dagster.open(f"{LOCATION}/asset-groups/consumers")
    run = dagster.materialize()
    dagster.watch()
    assert dagster.ui.built(run) == graph["consumers"]


@pytest.mark.usefixtures("run_of_all")
def test_the_launchpad_starts_the_hourly_job_with_a_full_refresh(dagster: Dagster, graph: dict[str, set[str]]) -> None:
    # Only a full refresh removes a row that no source has.
    dagster.development.execute(
        "insert into marts.order_items select * replace ('stray' as order_item_id) from marts.order_items limit 1"
    )
    dagster.open(f"{LOCATION}/jobs/hourly/playground")
    dagster.type_config("ops:\n  dbt_hourly:\n    config:\n      full_refresh: true\n")
    dagster.button(re.compile("^Launch Run$")).click()
    run = dagster.shown_run()
    dagster.watch()
    assert graph["hourly"] <= dagster.ui.built(run)
    assert dagster.development.shop.query("select count(*) from marts.order_items where order_item_id = 'stray'") == [
        (0,)
    ]


@pytest.mark.usefixtures("run_of_all")
def test_re_execution_from_failure_runs_only_the_failed_part(dagster: Dagster, graph: dict[str, set[str]]) -> None:
    with dagster.development.broken("models/intermediate/core/int_customer_order_totals.sql"):
        dagster.open(f"{LOCATION}/jobs/hourly/playground")
        # The launchpad keeps the text of the previous test.
        dagster.type_config("{}")
        dagster.button(re.compile("^Launch Run$")).click()
        first = dagster.shown_run()
        dagster.watch(fails=True)
    remaining = graph["hourly"] - dagster.ui.built(first)
    assert {"intermediate/int_customer_order_totals", "marts/customers"} <= remaining < graph["hourly"]
    dagster.re_execute("From failure")
    second = dagster.shown_run()
    dagster.watch()
    assert second != first
    assert dagster.ui.built(second) == remaining


@pytest.mark.usefixtures("run_of_all")
def test_a_schedule_that_is_turned_on_starts_runs(dagster: Dagster) -> None:
    dagster.open(f"{LOCATION}/schedules/nightly_schedule")
    dagster.turn(on=True)
    run = _started_by(dagster, "dagster/schedule_name", "nightly_schedule", 1)
    dagster.turn(on=False)
    dagster.open(f"/runs/{run.id}")
    dagster.watch()


@pytest.mark.usefixtures("run_of_all")
def test_a_new_file_starts_a_run_of_its_table_while_the_sensor_is_on(dagster: Dagster) -> None:
    dagster.open(f"{LOCATION}/sensors/landing_sensor")
    dagster.turn(on=True)
    # The first run finds all files; none is new for the warehouse.
    first = _started_by(dagster, "dagster/sensor_name", "landing_sensor", 1)
    assert dagster.ui.wait_for_end(first.id) == "SUCCESS"
    _write_landing_file(dagster.development.shop.landing / "customers" / "by_hand.csv")
    run = _started_by(dagster, "dagster/sensor_name", "landing_sensor", 2)
    dagster.turn(on=False)
    dagster.open(f"/runs/{run.id}")
    dagster.watch()
    assert dagster.ui.built(run.id) == {"jaffle_shop/customers"}
    assert dagster.development.shop.query("select name from raw.customers where id = 'by-hand'") == [("Ada Lovelace",)]


def _started_by(dagster: Dagster, tag: str, name: str, count: int) -> UiRun:
    """Wait until a schedule or sensor has started ``count`` runs; return the newest."""

    def found() -> list[UiRun]:
        runs = [run for run in dagster.ui.runs() if run.tags.get(tag) == name]
        return runs[:1] if len(runs) >= count else []

    return wait_for(f"run {count} of {name} has started", found, 120)[0]


def _write_landing_file(path: Path) -> None:
    now = datetime.now(tz=timezone.utc).isoformat()
    part = path.with_name(f".{path.name}.part")
    part.write_text(f"id,name,created_at,updated_at\nby-hand,Ada Lovelace,{now},{now}\n")
    part.rename(path)
