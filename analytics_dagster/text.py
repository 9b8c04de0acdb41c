"""Words for people that more than one part needs."""

from __future__ import annotations


def counted(number: int, what: str) -> str:
    """Return a number of things: `1 node`, `1,200 nodes`, `2 saved queries`."""
    if number == 1:
        return f"1 {what}"
    return f"{number:,} {what[:-1]}ies" if what.endswith("y") else f"{number:,} {what}s"
