"""Chromium as the tests use it: the machine's own, without a window, in a profile that is gone afterwards."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Route, expect, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox",  # a container's root has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_LONGEST_WAIT = 30_000.0  # milliseconds, on a machine that is busy with runs


def find_chromium() -> str | None:
    """Return the path of the machine's Chromium, or of the one that `CHROMIUM` names; None where there is none."""
    named = os.environ.get("CHROMIUM")
    return next((path for path in map(shutil.which, [named] if named else _NAMES) if path), None)


@contextmanager
def opened(executable: str) -> Iterator[BrowserContext]:
    """Run Chromium, whose pages reach nothing but this machine, and are as large and as late everywhere."""
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
        context.route("**/*", _stay_here)
        yield context
        browser.close()


def _stay_here(route: Route) -> None:
    if urlsplit(route.request.url).hostname in {"127.0.0.1", None}:
        route.continue_()
    else:
        route.abort()
