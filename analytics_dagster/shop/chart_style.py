"""The style of all charts: font, colours and amounts of money, and the conversion of a figure to a data URL."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

INK = "#1f2933"
GREY = "#7b8794"
RULE = "#e4e7eb"
ACCENT = "#c2410c"
PALE = "#f3c9ae"
COLOURS = ("#c2410c", "#0f766e", "#4c51bf", "#b7791f", "#97266d", "#4a5568")
"""Colours of categories, different in hue and lightness."""

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # part of matplotlib, so charts are equal on every machine
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": GREY,
    "axes.labelpad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "text.parse_math": False,  # `$` is a dollar sign
    "svg.hashsalt": "analytics_dagster",  # for reproducible ids, and so reproducible bytes
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in this style within a `with` block."""
    # Never pyplot: it needs a window system and keeps figures in memory.
    with mpl.rc_context(_STYLE):
        yield


def money(amount: float, _position: object = None) -> str:
    """Return an amount of money for an axis: `$950`, `$12.5k`, `$3M`."""
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if abs(amount) >= limit:
            return f"${amount / limit:.1f}".removesuffix(".0") + unit
    return f"${amount:,.0f}"


def png_url(figure: Figure) -> str:
    """Return a figure as a data URL for markdown in Dagster's UI."""
    return _data_url(figure, "png", "image/png", omitted="Software")


def svg_url(figure: Figure) -> str:
    """Return a figure as a data URL for HTML, with the same bytes for the same figure."""
    return _data_url(figure, "svg", "image/svg+xml", omitted="Date")


def _data_url(figure: Figure, file_format: str, media_type: str, omitted: str) -> str:
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format=file_format, dpi=144, metadata={omitted: None})
    return f"data:{media_type};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
