"""A browser for each module, a page for each test, and what the page showed where a test failed."""

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
    "Chromium is not installed: `apt-get install chromium`, or name another one by the variable CHROMIUM, "
    "and run the tests again."
)


# Not for the session: as long as Playwright is at work, no other test of the process may have an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    """Give a browser; without Chromium a test is skipped, but fails where somebody relies on it."""
    executable = chromium.find_chromium()
    if executable is None:
        if "CI" in os.environ or "CHROMIUM" in os.environ:
            pytest.fail(_REMEDY)
        pytest.skip(_REMEDY)
    with chromium.opened(executable) as context:
        yield context


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    """Give an empty page."""
    page = browser.new_page()
    yield page
    page.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell what the page showed when a test failed, in words and in a picture."""
    report = yield
    values: dict[str, Any] = item.funcargs if isinstance(item, pytest.Function) else {}
    page = values.get("page")
    if report.when == "call" and report.failed and isinstance(page, Page):
        picture = Path(tempfile.mkdtemp()) / f"{item.name}.png"
        page.screenshot(path=picture)
        report.sections.append((f"the page, as {picture} shows it", f"{page.url}\n{page.inner_text('body')}"))
    return report
