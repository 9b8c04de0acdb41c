"""Formats text for people."""

from __future__ import annotations


def pluralize(number: int, noun: str) -> str:
    """Return a number and a noun: `1 node`, `1,200 nodes`, `2 saved queries`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("y") else f"{number:,} {noun}s"
