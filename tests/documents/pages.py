"""Parses the documentation pages: fenced blocks, and the commands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob("helm/*/*.md"))
)
"""The path of every page."""

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,})(?P<language>\w*)\s*$")
_HEADING = re.compile(r"^#{1,6} (?P<title>.*)$")
_COMMENT = re.compile(r"(?:^|\s+)#(?: .*|$)")


@dataclass(frozen=True)
class Block:
    """A fenced block: page, line, heading, language and text."""

    page: str
    line: int
    section: str
    language: str
    text: str

    def __str__(self) -> str:
        """Return page and line."""
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block, without comments and with continued lines joined."""
        joined = self.text.replace("\\\n", " ")
        lines = [_COMMENT.sub("", line).strip() for line in joined.splitlines()]
        return [" ".join(line.split()) for line in lines if line]


def blocks_of(page: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page, in order."""
    section, opening, start, held = "", None, 0, list[str]()
    for number, line in enumerate((ROOT / page).read_text(encoding="utf-8").splitlines(), start=1):
        if opening is None:
            opening, start, held = _FENCE.match(line), number, []
            heading = _HEADING.match(line)
            section = heading["title"] if heading else section
        elif line.strip() == opening["fence"]:
            yield Block(page, start, section, opening["language"], "\n".join(held))
            opening = None
        else:
            held.append(line.removeprefix(opening["indent"]))
    assert opening is None, f"{page}:{start}: this block has no end"


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
"""Every fenced block of every page."""

INLINE = {
    " ".join(span.split())
    for page in PAGES
    for span in re.findall(
        r"`(analytics-dagster [a-z][^`]*)`", re.sub(r"(?s)```.*?```", "", (ROOT / page).read_text("utf-8"))
    )
}
"""The `analytics-dagster` commands in running text."""


def shown(text: str, printed: str) -> bool:
    """Return whether output matches a text: `…` matches any short text, a number any number.

    All lines must occur in order. Line breaks, spaces and the rules of tables are ignored.
    """
    pattern = ".*?".join(_line(line) for line in text.splitlines() if line.strip(" ─"))
    return re.search(pattern, " ".join(printed.split())) is not None


def _line(line: str) -> str:
    parts = re.split(r"(…|\d[\d,.]*)", " ".join(line.split()))
    return "".join(
        ".{0,300}?" if part == "…" else r"\d[\d,.]*" if part[:1].isdigit() else re.escape(part) for part in parts
    )
