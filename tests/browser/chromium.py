"""Starts the installed Chromium for tests: headless, with a temporary profile."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Route, expect, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox",  # root in a container has no sandbox
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_LONGEST_WAIT = 30_000.0  # milliseconds; runs keep the machine busy


def find_chromium() -> str | None:
    """Return the path of the installed Chromium, or of the one in the variable `CHROMIUM`; None if there is none."""
    named = os.environ.get("CHROMIUM")
    return next((path for path in map(shutil.which, [named] if named else _NAMES) if path), None)


@contextmanager
def open_browser(executable: str) -> Iterator[BrowserContext]:
    """Run Chromium. Its pages can load only from this machine; size, locale and time zone are fixed."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=_ARGUMENTS)
        context = browser.new_context(
            viewport={"width": 1440, "height": 900},
            color_scheme="light",
            locale="en-GB",
            timezone_id="UTC",
            reduced_motion="reduce",
        )
        context.set_default_timeout(_LONGEST_WAIT)
        expect.set_options(timeout=_LONGEST_WAIT)
        context.route("**/*", _block_other_hosts)
        yield context
        browser.close()


def _block_other_hosts(route: Route) -> None:
    if urlsplit(route.request.url).hostname in {"127.0.0.1", None}:
        route.continue_()
    else:
        route.abort()
