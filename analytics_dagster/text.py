"""Formats text for people."""

from __future__ import annotations

from collections.abc import Sequence


def pluralize(number: int, noun: str) -> str:
    """Return a number and a noun: `1 node`, `1,200 nodes`, `2 saved queries`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("y") else f"{number:,} {noun}s"


def indented(lines: Sequence[str], most: int = 50) -> str:
    """Return lines below a message: each begins with a line break and four spaces, and the rest is counted."""
    more = [f"and {len(lines) - most:,} more"] if len(lines) > most else []
    return "".join(f"\n    {line}" for line in [*lines[:most], *more])
