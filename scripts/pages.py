"""Generates the parts of `docs` that follow from the code: settings, architecture diagram, base modules.

`make docs` runs it (`python -m scripts.pages`). A test fails if a generated part is stale.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from analytics_dagster.settings import Settings, variable_name
from analytics_dagster.yaml_file import field_descriptions
from scripts.architecture import PACKAGE, draw, read_architecture

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def main() -> None:
    """Write every generated file."""
    for path, content in generated_files().items():
        path.write_text(content, encoding="utf-8")


def generated_files() -> dict[Path, str]:
    """Return the content of each generated file."""
    architecture = read_architecture(ROOT / PACKAGE)
    modules = [f"| [`{name}.py`](../{PACKAGE}/{name}.py) | {text} |" for name, text in architecture.base.items()]
    return {
        DOCS / "settings.md": _with_part(DOCS / "settings.md", "settings", settings_table()),
        DOCS / "architecture.md": _with_part(
            DOCS / "architecture.md", "modules", ["| module | what it is |", "| --- | --- |", *modules]
        ),
        DOCS / "architecture.svg": draw(architecture),
    }


def settings_table() -> list[str]:
    """Return the lines of the settings table: one row for each field of the class."""
    rows = []
    descriptions = field_descriptions(Settings)
    for name, field in Settings.model_fields.items():
        # Links in descriptions are relative to the root of the checkout.
        text = descriptions[name].replace("](docs/", "](")
        rows.append(f"| `{variable_name(name)}` | {_default(field.default)} | {text} |")
    return ["| variable | default | what it sets |", "| --- | --- | --- |", *rows]


def _default(value: Any) -> str:
    if value is None or value is PydanticUndefined:
        return ""
    if isinstance(value, Enum):
        return f"`{value.value}`"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


def _with_part(path: Path, name: str, lines: Iterable[str]) -> str:
    """Return the text of a page with the named part replaced; raise `ValueError` if there is not exactly one."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    text, parts = re.subn(
        f"(?s){begin}.*?{end}",
        lambda _: begin + "\n".join(lines) + "\n" + end,
        path.read_text(encoding="utf-8"),
    )
    if parts != 1:
        raise ValueError(f"{path} has {parts} parts named {name}, and must have one.")
    return text


if __name__ == "__main__":
    main()
