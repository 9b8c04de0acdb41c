"""The pictures of the documents, taken while the tests look at what they show: `make screenshots`."""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page

_COLORS = 128
_LARGEST = 300_000  # bytes


def wanted() -> bool:
    """Whether pictures are taken."""
    return "PICTURES" in os.environ


def take(shown: Page | Locator, name: str) -> None:
    """Take a picture of a page or a part of it, if pictures are taken; raises `AssertionError` if it gets too large."""
    if not wanted():
        return
    picture = Image.open(io.BytesIO(shown.screenshot(animations="disabled", caret="hide")))
    path = Path(os.environ["PICTURES"]) / f"{name}.png"
    # A screen has few colors: with a palette a picture takes a third of the room, and looks the same.
    picture.convert("RGB").quantize(_COLORS, dither=Image.Dither.NONE).save(path, optimize=True)
    assert path.stat().st_size <= _LARGEST, f"{path} is too large for a repository: show less of the page"
