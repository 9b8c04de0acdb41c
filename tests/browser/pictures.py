"""Takes the screenshots of the documentation during the browser tests: `make screenshots`."""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page

_COLORS = 128
_LARGEST = 300_000  # bytes


def wanted() -> bool:
    """Return whether screenshots are taken."""
    return "PICTURES" in os.environ


def take(shown: Page | Locator, name: str) -> None:
    """Take a screenshot of a page or an element, if enabled; raise `AssertionError` if the file is too large."""
    if not wanted():
        return
    picture = Image.open(io.BytesIO(shown.screenshot(animations="disabled", caret="hide")))
    path = Path(os.environ["PICTURES"]) / f"{name}.png"
    # The UI has few colors: a palette reduces the file to a third of its size without a visible change.
    picture.convert("RGB").quantize(_COLORS, dither=Image.Dither.NONE).save(path, optimize=True)
    assert path.stat().st_size <= _LARGEST, f"{path} is too large for the repository: show a smaller part of the page"
