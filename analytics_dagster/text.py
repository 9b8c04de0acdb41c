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


def join_names(names: Sequence[str], most: int = 12) -> str:
    """Return names in one line; of more than ``most``, only the number of the others."""
    more = [f"{len(names) - most:,} more"] if len(names) > most else []
    return ", ".join([*names[:most], *more])


def format_duration(seconds: float) -> str:
    """Return a duration as text: `45 s`, `12 min`, `3 h 05 min`, `2 d 4 h`."""
    whole = round(seconds)
    if whole < 120:  # noqa: PLR2004 - two minutes
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86_400
    if not hours:
        return f"{minutes} min"
    return f"{days} d {hours % 24} h" if days else f"{hours} h {minutes % 60:02} min"


def printable(text: str) -> str:
    """Return text that every database can store: NUL, and what is not UTF-8, is escaped."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
