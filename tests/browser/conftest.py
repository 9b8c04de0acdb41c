"""Fixtures: a browser for each module, a page for each test. A failed test reports the content of its page."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser import chromium

_REMEDY = (
    "Chromium is not installed: `apt-get install chromium`, or set the variable CHROMIUM to its path, "
    "and run the tests again."
)


# Not session-scoped: while Playwright runs, no other test in the process can use an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    """Return a browser. Without Chromium, tests are skipped, but fail in CI and if the variable CHROMIUM is set."""
    executable = chromium.find_chromium()
    if executable is None:
        if "CI" in os.environ or "CHROMIUM" in os.environ:
            pytest.fail(_REMEDY)
        pytest.skip(_REMEDY)
    with chromium.open_browser(executable) as context:
        yield context


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    """Return an empty page."""
    page = browser.new_page()
    yield page
    page.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the text and a screenshot of the page to the report of a failed test."""
    report = yield
    values: dict[str, Any] = item.funcargs if isinstance(item, pytest.Function) else {}
    page = values.get("page")
    if report.when == "call" and report.failed and isinstance(page, Page):
        picture = Path(tempfile.mkdtemp()) / f"{item.name}.png"
        page.screenshot(path=picture)
        report.sections.append((f"the page ({picture})", f"{page.url}\n{page.inner_text('body')}"))
    return report
