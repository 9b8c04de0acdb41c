"""The bundled shop under `make dev`, with a copy of its dbt project to break, and the page actions of the UI."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit

import duckdb
from playwright.sync_api import Locator, Page, expect

from scripts import sample_data
from tests.integration.shop import BIN, ROOT, Shop
from tests.integration.ui import Ui, free_port, make_dev, opened

LOCATION = "/locations/analytics_dagster"

_RUN_TIMEOUT = 240


@dataclass(frozen=True)
class Development:
    """A running UI of a separate copy of the shop."""

    ui: Ui
    shop: Shop
    project: Path

    def execute(self, sql: str) -> None:
        """Execute a statement in the warehouse; no run may be in progress."""
        with duckdb.connect(str(self.shop.folder / "warehouse.duckdb")) as connection:
            connection.execute(sql)

    @contextmanager
    def broken(self, model: str) -> Iterator[None]:
        """Make a model read a missing column within the context."""
        path = self.project / model
        text = path.read_text(encoding="utf-8")
        before, everything, after = text.rpartition("select *")
        assert everything
        path.write_text(f"{before}select no_such_column{after}", encoding="utf-8")
        yield
        path.write_text(text, encoding="utf-8")

    def on_page(self, page: Page) -> Dagster:
        """Return the actions of the UI in a page."""
        return Dagster(self, page)


@contextmanager
def make_development(
    folder: Path, *, days: int, continuous: bool = True, variables: Mapping[str, str] | None = None
) -> Iterator[Development]:
    """Write the sample data of some days and open the UI like `make dev`; ``variables`` are additional.

    ``continuous=False`` does not simulate the whole year for new data, which leaves one core to the UI.
    """
    shop = Shop(folder)
    project = folder / "dbt_project"
    shutil.copytree(ROOT / "dbt_project", project, ignore=shutil.ignore_patterns("target", "logs", ".user.yml"))
    _deliver(shop.landing, days)
    environment = {**shop.environment, "ANALYTICS_DBT_PROJECT_DIR": str(project), **(variables or {})}
    log = folder / "dev.log"
    if continuous:
        opening = make_dev(environment, landing=shop.landing, log=log)
    else:
        port = free_port()
        command = [str(BIN / "analytics-dagster"), "dev", "--port", str(port)]
        opening = opened(command, port=port, environment=environment, folder=folder, log=log)
    with opening as ui:
        yield Development(ui, shop, project)


def _deliver(folder: Path, days: int) -> None:
    """Write the first days of sample data; the last one is today."""
    now = sample_data.utc_now()
    landing = sample_data.open_landing(str(folder))
    state = sample_data.begin(landing, now=now, seed=None, days_ahead=sample_data.YEAR - days)
    simulated = sample_data.simulate(state.seed, (now - state.calendar.starts) // timedelta(days=1) + 1)
    sample_data.deliver(landing, sample_data.plan(simulated, state.calendar), now)


@dataclass(frozen=True)
class Dagster:
    """The actions of a user on a page of the UI. Elements are found by their text."""

    development: Development
    page: Page

    @property
    def ui(self) -> Ui:
        """The GraphQL client of the same UI."""
        return self.development.ui

    def open(self, path: str) -> None:
        """Open a page of the UI."""
        self.page.goto(f"{self.ui.address}{path}")

    def open_graph(self, selection: str = "") -> None:
        """Open the graph of all assets, or of a selection."""
        self.open("/asset-groups" + (f"~{quote(selection, safe='')}/" if selection else ""))

    def hide_list(self) -> None:
        """Hide the list of assets next to the graph."""
        self.page.get_by_placeholder("Jump to").locator("xpath=following::button[1]").click()

    def open_asset(self, key: str, view: str = "overview") -> None:
        """Open the page of an asset."""
        self.open(f"/assets/{key}?view={view}")

    def button(self, text: re.Pattern[str]) -> Locator:
        """Return the button with a text; its accessible name also contains the icon."""
        return self.page.get_by_role("button").filter(has_text=text)

    def materialize(self) -> str:
        """Click the materialize button, and open the run that it starts; return the run id."""
        self.button(re.compile("^Materialize")).click()
        self.page.get_by_role("link", name="View", exact=True).click()
        return self.shown_run()

    def shown_run(self) -> str:
        """Return the id of the run on the page, after the page has loaded."""
        self.page.wait_for_url("**/runs/*")
        return urlsplit(self.page.url).path.rpartition("/")[2]

    def watch(self, *, fails: bool = False) -> None:
        """Wait until the page of a run shows its final status and its last event, without a reload.

        The filter finds the event: the log renders only the rows in view, and does not always scroll to the end.
        """
        status = self.page.get_by_text("Failure" if fails else "Success", exact=True).first
        expect(status).to_be_visible(timeout=_RUN_TIMEOUT * 1000)
        search = self.page.get_by_placeholder("Filter…")
        search.fill("Process for run exited")
        expect(self.page.get_by_text("Process for run exited").first).to_be_visible()
        search.clear()

    def type_config(self, config: str) -> None:
        """Replace the text in the editor of the launchpad."""
        self.page.locator(".CodeMirror").click()
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.insert_text(config)

    def re_execute(self, how: str) -> None:
        """Re-execute the run on the page with an entry of the menu next to the button."""
        before = self.page.url
        self.button(re.compile("^Re-execute")).locator("xpath=following::button[1]").click()
        self.page.get_by_role("menuitem").filter(has_text=re.compile(f"^{how}$")).click()
        self.page.wait_for_url(lambda url: "/runs/" in url and url != before)

    def turn(self, *, on: bool) -> None:
        """Turn the schedule or sensor on the page on or off."""
        row = self.page.get_by_role("row", name="Running")
        row.locator("label").click()
        expect(row.get_by_role("checkbox")).to_be_checked(checked=on)
