"""Draws the architecture diagram of the package from the real imports of its modules."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

PACKAGE = "analytics_dagster"

BASE = "base modules"
"""The box of all single modules that import no other box."""

_WIDTH, _LINE, _GAP, _LANE = 660, 15, 30, 22
_LETTER = 7.4
"""The average width of a letter in the widest common font."""

_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2933}.name{font-weight:600;font-size:14px}"
    ".box{fill:#f5f7ff;stroke:#4c5fd5}.base{fill:#f4f5f7;stroke:#7b8794}.arrow{fill:none;stroke:#4c5fd5}"
    ".head{fill:#4c5fd5}"
)


@dataclass(frozen=True)
class Architecture:
    """The boxes with their purpose, the boxes that each one imports, and the base modules with their purpose."""

    boxes: Mapping[str, str]
    imports: Mapping[str, frozenset[str]]
    base: Mapping[str, str]


def read_architecture(root: Path) -> Architecture:
    """Return the architecture of the package in a folder; imports inside functions and for type checking count."""
    modules = {_dotted(path, root): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(root.rglob("*.py"))}
    folders = {path.parent.name for path in root.glob("*/__init__.py")}
    known = {_box(name) for name in modules if name}
    modules_of_root = {name for name in modules if name and "." not in name} - folders
    between: dict[str, set[str]] = {}
    for name, tree in modules.items():
        if name:
            # A name that the package itself exports (a function or a class) is not a module.
            between.setdefault(_box(name), set()).update(known & {_box(found) for found in _imported(tree)})
    base = set(modules_of_root)
    while others := {name for name in base if between[name] - base}:
        base -= others
    boxes = [box for box in between if box not in base]
    return Architecture(
        boxes={box: _purpose(modules[box]) for box in sorted(boxes)},
        imports={box: frozenset({BASE if found in base else found for found in between[box]} - {box}) for box in boxes},
        base={name: _purpose(modules[name]) for name in sorted(base)},
    )


def layers(architecture: Architecture) -> list[list[str]]:
    """Return the boxes in layers, the highest first: a box imports only boxes of lower layers.

    Raises `ValueError` if boxes import each other; it names them.
    """
    heights: dict[str, int] = {BASE: 0}
    rest = set(architecture.imports)
    while rest:
        ready = {box for box in rest if architecture.imports[box] <= heights.keys()}
        if not ready:
            raise ValueError(f"These packages import each other, or import packages that do: {', '.join(sorted(rest))}")
        for box in ready:
            heights[box] = 1 + max((heights[found] for found in architecture.imports[box]), default=0)
        rest -= ready
    return [sorted(box for box in heights if heights[box] == height) for height in sorted({*heights.values()})[::-1]]


def arrows(architecture: Architecture) -> list[tuple[str, str]]:
    """Return pairs (importing box, imported box), without those that follow from others or lead to base modules."""
    reached = {box: _reached(architecture.imports, box) for box in architecture.imports}
    return sorted(
        (box, found)
        for box, all_found in architecture.imports.items()
        for found in all_found - {BASE}
        if not any(found in reached[other] for other in all_found - {BASE, found})
    )


def draw(architecture: Architecture) -> str:
    """Return the diagram as SVG."""
    rows = layers(architecture)
    purposes = {**architecture.boxes, BASE: ", ".join(architecture.base)}
    texts: dict[str, list[str]] = {}
    places: dict[str, tuple[float, float, float, float]] = {}
    top = 10.0
    for row in rows:
        row.sort(
            key=lambda box: (_middle(places, [upper for upper, lower in arrows(architecture) if lower == box]), box)
        )
        width = (_WIDTH - _LANE * 2 - _LANE * (len(row) - 1)) / len(row)
        texts |= {box: textwrap.wrap(purposes[box], int((width - 24) / _LETTER)) for box in row}
        height = 34 + _LINE * max(len(texts[box]) for box in row)
        for number, box in enumerate(row):
            places[box] = (_LANE + number * (width + _LANE), top, width, height)
        top += height + _GAP
    shapes = [
        *(_arrow(places[upper], places[lower]) for upper, lower in arrows(architecture)),
        *(line for row in rows for box in row for line in _drawn_box(box, places[box], texts[box])),
    ]
    bottom = top - _GAP + 10
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom:g}" role="img" '
                'aria-label="The packages and their imports">'
            ),
            f"<style>{_STYLE}</style>",
            (
                '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
                '<path class="head" d="M0 0L8 4L0 8z"/></marker>'
            ),
            f'<rect width="{_WIDTH}" height="{bottom:g}" fill="#fff"/>',
            *shapes,
            "</svg>\n",
        ]
    )


def _drawn_box(box: str, place: tuple[float, float, float, float], lines: Iterable[str]) -> Iterator[str]:
    left, top, width, height = place
    kind = "base" if box == BASE else "box"
    yield f'<rect class="{kind}" x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" rx="6"/>'
    yield f'<text class="name" x="{left + 12:g}" y="{top + 20:g}">{escape(box)}</text>'
    for number, line in enumerate(lines):
        yield f'<text x="{left + 12:g}" y="{top + 38 + _LINE * number:g}">{escape(line)}</text>'


def _arrow(upper: tuple[float, float, float, float], lower: tuple[float, float, float, float]) -> str:
    """Return an arrow downwards; if other boxes are between, it goes along the side of the lower box."""
    start, end = upper[0] + upper[2] / 2, lower[0] + lower[2] / 2
    from_y, to_y = upper[1] + upper[3], lower[1]
    if to_y - from_y <= _GAP:
        path = f"M{start:g} {from_y:g}L{end:g} {to_y - 1:g}"
    else:
        left = end < _WIDTH / 2
        lane = _LANE / 2 if left else _WIDTH - _LANE / 2
        leave, arrive = (upper[0], lower[0] - 1) if left else (upper[0] + upper[2], lower[0] + lower[2] + 1)
        path = f"M{leave:g} {upper[1] + upper[3] / 2:g}H{lane:g}V{lower[1] + lower[3] / 2:g}H{arrive:g}"
    return f'<path class="arrow" d="{path}" marker-end="url(#head)"/>'


def _middle(places: Mapping[str, tuple[float, float, float, float]], boxes: Sequence[str]) -> float:
    return sum(places[box][0] + places[box][2] / 2 for box in boxes) / len(boxes) if boxes else _WIDTH / 2


def _reached(imports: Mapping[str, frozenset[str]], box: str) -> set[str]:
    found: set[str] = set()
    pending = set(imports.get(box, ()))
    while pending:
        found |= pending
        pending = {one for other in pending for one in imports.get(other, ())} - found
    return found


def _dotted(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _box(module: str) -> str:
    return module.partition(".")[0]


def _imported(tree: ast.Module) -> Iterator[str]:
    """Yield the modules of the package that a module imports, named without the package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
            names = [f"{PACKAGE}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        else:
            continue
        yield from (name.partition(".")[2] for name in names if name.startswith(f"{PACKAGE}."))


def _purpose(tree: ast.Module) -> str:
    """Return the first sentence of a module's docstring."""
    summary = (ast.get_docstring(tree) or "").partition("\n\n")[0].replace("\n", " ").replace("`", "")
    return summary.partition(". ")[0].rstrip(".")
