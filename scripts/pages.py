"""Writes what the pages of `docs` have of the code: the table of settings, the architecture's picture and modules.

`python -m scripts.pages` (which `make docs` runs) writes them; a test holds them against the code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from analytics_dagster.settings import Settings, variable_name
from scripts.architecture import PACKAGE, draw, read_architecture

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def main() -> None:
    """Write every file that is made from the code."""
    for path, content in made_files().items():
        path.write_text(content, encoding="utf-8")


def made_files() -> dict[Path, str]:
    """Return what each of the files is to hold."""
    architecture = read_architecture(ROOT / PACKAGE)
    modules = [f"| [`{name}.py`](../{PACKAGE}/{name}.py) | {text} |" for name, text in architecture.ground.items()]
    return {
        DOCS / "settings.md": _with_part(DOCS / "settings.md", "settings", settings_table()),
        DOCS / "architecture.md": _with_part(
            DOCS / "architecture.md", "modules", ["| module | what it is |", "| --- | --- |", *modules]
        ),
        DOCS / "architecture.svg": draw(architecture),
    }


def settings_table() -> list[str]:
    """Return the table of all settings: one row a field of the class."""
    rows = []
    for name, field in Settings.model_fields.items():
        # A description's link leads on from the checkout's root.
        text = (field.description or "").replace("](docs/", "](")
        rows.append(f"| `{variable_name(name)}` | {_default(field.default)} | {text} |")
    return ["| variable | default | what it sets |", "| --- | --- | --- |", *rows]


def _default(value: Any) -> str:
    if value is None or value is PydanticUndefined:
        return ""
    if isinstance(value, Enum):
        return f"`{value.value}`"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


def _with_part(path: Path, name: str, lines: Iterable[str]) -> str:
    """Return a page's text with the part between its two comments replaced."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    text = path.read_text(encoding="utf-8")
    return re.sub(f"(?s){begin}.*?{end}", lambda _: begin + "\n".join([*lines, end]), text)


if __name__ == "__main__":
    main()
